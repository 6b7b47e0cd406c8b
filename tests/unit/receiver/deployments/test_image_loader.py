"""An image gets its name only when the engine has loaded it, and nothing but it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ImageFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.image_loader import Loading
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import INCOMING, Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment, Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer, sha256
from support.engine.engines import FakeEngine

_BEFORE = image_archive(layers=[layer(before=b"before")])
_OTHER = image_archive(layers=[layer(other=b"other")])


class House:
    """A store with packages, and an engine that has the image of before under the name."""

    def __init__(self, shared: ReceiverState, engine: FakeEngine) -> None:
        self.shared = shared
        self.engine = engine
        self.engine.images["hello:1.0"] = _BEFORE
        self.packages = Packages(shared)
        self.loading = Loading(shared.deployments, self.packages)

    async def keep(self, package: bytes = image_archive()) -> Deployment:
        """Keep a package."""
        checksum = blake3(package).hexdigest()
        fields = UploadFields(package_id=str(uuid4()), checksum=checksum, container_name="hello", image_tag="1.0")
        staged = await self.shared.deployments.begin(str(uuid4()))
        await asyncio.to_thread(staged.file.write, package)
        deployment = Deployment.new(staged.entry_id, fields, size_bytes=len(package))
        await self.shared.deployments.keep(staged, deployment)
        return deployment

    async def load(self, deployment: Deployment | None = None) -> str:
        """Check a package and load it."""
        deployment = deployment or await self.keep()
        path = self.shared.deployments.package_file(deployment)
        return await self.loading.load(self.engine, deployment, await self.packages.check(path, deployment))

    async def refused(self) -> DeploymentSenderError:
        """Load a package and see that it fails."""
        with pytest.raises(DeploymentSenderError) as caught:
            await self.load()
        return caught.value

    async def layers(self) -> dict[str, str]:
        """Tell the one layer of each image, by name."""
        facts = {name: await self.engine.inspect(name) for name in list(self.engine.images)}
        return {name: one.diff_ids[0].removeprefix("sha256:") for name, one in facts.items() if one is not None}


@pytest.fixture
async def shared(tmp_path: Path, workers: ThreadPool) -> ReceiverState:
    """An empty store."""
    deployments = Deployments(tmp_path, workers)
    await deployments.open()
    return ReceiverState(await asyncio.to_thread(ReceiverSettings), workers, deployments)


_UNCHANGED = {"hello:1.0": sha256(layer(before=b"before"))}


async def test_an_image_gets_its_name_after_it_was_compared(shared: ReceiverState) -> None:
    """Until then the name leads to the image of before; afterwards no other name is left."""
    seen: list[dict[str, str]] = []

    class Watched(FakeEngine):
        async def tag(self, image_id: str, reference: str) -> None:
            seen.append(await house.layers())
            await super().tag(image_id, reference)

    house = House(shared, Watched())
    image_id = await house.load()
    facts = await house.engine.inspect("hello:1.0")

    assert facts is not None
    assert facts.image_id == image_id
    assert {"hello:1.0": sha256(layer())} == await house.layers()
    (at_the_time,) = seen
    assert 2 == len(at_the_time)
    assert _UNCHANGED.items() <= at_the_time.items()


async def test_an_engine_that_loads_another_image(shared: ReceiverState) -> None:
    """The deployment fails, and every name is as before."""

    class Swapping(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images |= {name: _OTHER for name in self.images if name.startswith(INCOMING)}

    house = House(shared, Swapping())
    error = await house.refused()

    assert ErrorCode.VALIDATION_ERROR is error.code
    assert error.message.startswith("the engine has loaded another image than sha256:")
    assert _UNCHANGED == await house.layers()


async def test_an_engine_that_says_the_layers_and_another_id(shared: ReceiverState) -> None:
    """The id must be the one that the archive implies, beside every layer."""

    class Renaming(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            facts = await super().inspect(reference)
            loaded = facts is not None and reference.startswith(INCOMING)
            return ImageFacts(f"sha256:{'0' * 64}", facts.diff_ids) if loaded and facts is not None else facts

    house = House(shared, Renaming())

    assert ErrorCode.VALIDATION_ERROR is (await house.refused()).code
    assert _UNCHANGED == await house.layers()


@pytest.mark.parametrize("fails", [True, False])
async def test_an_engine_that_moves_the_name_while_it_loads(shared: ReceiverState, fails: bool) -> None:
    """Where the load fails, the name is put back; where it does not, the name leads to what was announced."""

    class Moving(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images |= {"hello:1.0": _OTHER, "kept:1.0": _BEFORE}
            if fails:
                raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "invalid diffID")

    house = House(shared, Moving())
    if fails:
        assert "invalid diffID" == (await house.refused()).message
    else:
        await house.load()

    expected = _UNCHANGED["hello:1.0"] if fails else sha256(layer())
    assert {"hello:1.0": expected, "kept:1.0": _UNCHANGED["hello:1.0"]} == await house.layers()


async def test_a_name_that_was_not_there_is_not_there_afterwards(shared: ReceiverState) -> None:
    """An engine that gives it away in a load that fails has it taken back."""

    class Giving(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images["hello:1.0"] = _OTHER
            raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "no")

    house = House(shared, Giving())
    del house.engine.images["hello:1.0"]
    await house.refused()

    assert {} == await house.layers()


async def test_an_engine_that_tags_another_image(shared: ReceiverState) -> None:
    """The name is looked at after it was given."""

    class Mistaken(FakeEngine):
        async def tag(self, image_id: str, reference: str) -> None:
            wrong = image_id != before
            await super().tag(image_id, reference)
            if wrong:
                self.images[reference] = _OTHER

    house = House(shared, Mistaken())
    house.engine.images["kept:1.0"] = _BEFORE
    facts = await house.engine.inspect("hello:1.0")
    before = facts.image_id if facts else ""
    error = await house.refused()

    assert "the engine has given hello:1.0 to another image" == error.message
    assert _UNCHANGED["hello:1.0"] == (await house.layers())["hello:1.0"]


async def test_names_of_loads_that_were_broken_off_go_with_the_next(shared: ReceiverState) -> None:
    """Those of this receiver; another one's stay."""
    house = House(shared, FakeEngine())
    earlier = await house.keep()
    mine, others = f"{INCOMING}:{earlier.deployment_id}", f"{INCOMING}:{uuid4()}"
    house.engine.images |= {mine: _OTHER, others: _OTHER}
    await house.load()

    assert {"hello:1.0", others} == house.engine.images.keys()


async def test_the_name_of_a_load_that_is_under_way_stays(shared: ReceiverState) -> None:
    """Two loads at once do not disturb each other."""
    loading, go_on = asyncio.Event(), asyncio.Event()

    class Slow(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            if not loading.is_set():
                loading.set()
                await go_on.wait()

    house = House(shared, Slow())
    first = asyncio.create_task(house.load())
    await loading.wait()
    second = await house.load()
    go_on.set()

    assert second == await first


async def test_an_engine_that_goes_away_is_not_asked_again(shared: ReceiverState) -> None:
    """What it has loaded until then is for the next load."""
    engine = FakeEngine()
    house = House(shared, engine)
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, "gone")

    assert ErrorCode.DOCKER_UNAVAILABLE is (await house.refused()).code
    assert "load" == engine.calls[-1]


async def test_a_name_that_cannot_be_removed_fails_nothing(
    shared: ReceiverState, caplog: pytest.LogCaptureFixture
) -> None:
    """The image is there, and has its name; the log has the rest."""
    engine = FakeEngine()
    house = House(shared, engine)
    engine.fail("untag", ErrorCode.BUILD_FAILED, "in use")
    await house.load()

    assert sha256(layer()) == (await house.layers())["hello:1.0"]
    assert "is left for the next load: in use" in caplog.text


async def test_an_engine_that_cannot_list_its_images(shared: ReceiverState, caplog: pytest.LogCaptureFixture) -> None:
    """What other loads have left is for a later one; this one goes on."""
    engine = FakeEngine()
    house = House(shared, engine)
    engine.fail("references", ErrorCode.DOCKER_UNAVAILABLE, "an image of somebody else cannot be read")
    await house.load()

    assert {"hello:1.0": sha256(layer())} == await house.layers()
    assert "an image of somebody else cannot be read" in caplog.text


async def test_an_image_that_was_not_unpacked(shared: ReceiverState) -> None:
    """The containerd image store reports success then, and knows no layers."""

    class Broken(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            facts = await super().inspect(reference)
            return ImageFacts(facts.image_id, ()) if facts and reference.startswith(INCOMING) else facts

    house = House(shared, Broken())
    error = await house.refused()

    assert error.message.endswith("without the layers that it names")
    assert _UNCHANGED == await house.layers()
