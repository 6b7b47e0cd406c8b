"""An image gets its name only when the engine has loaded exactly that image."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    EngineRefusedError,
    EngineUnavailableError,
    ErrorCode,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ImageFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.image_loader import (
    ImageLoader,
    WrongImageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import INCOMING, Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer, sha256
from support.engine.engines import FakeEngine
from support.receiver.records import keep

_BEFORE = image_archive(layers=[layer(before=b"before")])
_OTHER = image_archive(layers=[layer(other=b"other")])


class House:
    """A store with packages, and an engine that has an older image under the name."""

    def __init__(self, state: ReceiverState, engine: FakeEngine) -> None:
        self.state = state
        self.engine = engine
        self.engine.images["hello:1.0"] = _BEFORE
        self.packages = Packages(state)
        self.loader = ImageLoader(state.deployments, self.packages)

    async def keep(self, package: bytes = image_archive()) -> Deployment:
        """Keep a package."""
        return await keep(self.state.deployments, package, checksum=blake3(package).hexdigest())

    async def load(self, deployment: Deployment | None = None) -> str:
        """Check a package and load its image."""
        deployment = deployment or await self.keep()
        path = self.state.deployments.package_file(deployment)
        return await self.loader.load(self.engine, deployment, await self.packages.check(path, deployment))

    async def error(self) -> OperationError:
        """Load a package that fails; return the error."""
        with pytest.raises(OperationError) as caught:
            await self.load()
        return caught.value

    async def layers(self) -> dict[str, str]:
        """Return the digest of each image's only layer, by the image's name."""
        facts = {name: await self.engine.inspect(name) for name in list(self.engine.images)}
        return {name: one.diff_ids[0].removeprefix("sha256:") for name, one in facts.items() if one is not None}


@pytest.fixture
async def state(tmp_path: Path, workers: ThreadPool) -> ReceiverState:
    """Return the state of a receiver with an empty store."""
    deployments = Deployments(tmp_path, workers)
    await deployments.open()
    return ReceiverState(await asyncio.to_thread(ReceiverSettings), workers, deployments)


_UNCHANGED = {"hello:1.0": sha256(layer(before=b"before"))}


async def test_an_image_gets_its_name_after_it_was_checked(state: ReceiverState) -> None:
    """Until then the name leads to the older image; afterwards no temporary name is left."""
    seen: list[dict[str, str]] = []

    class Watched(FakeEngine):
        async def tag(self, image_id: str, reference: str) -> None:
            seen.append(await house.layers())
            await super().tag(image_id, reference)

    house = House(state, Watched())
    image_id = await house.load()
    facts = await house.engine.inspect("hello:1.0")

    assert facts is not None
    assert facts.image_id == image_id
    assert {"hello:1.0": sha256(layer())} == await house.layers()
    (before,) = seen
    assert 2 == len(before)
    assert _UNCHANGED.items() <= before.items()


async def test_an_engine_that_loads_another_image_is_an_error(state: ReceiverState) -> None:
    """The deployment fails, and every name is as before."""

    class Swapping(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images |= {name: _OTHER for name in self.images if name.startswith(INCOMING)}

    house = House(state, Swapping())
    error = await house.error()

    assert isinstance(error, WrongImageError)
    assert error.message.startswith("the engine has loaded another image than sha256:")
    assert _UNCHANGED == await house.layers()


async def test_an_image_with_the_layers_and_another_id_is_an_error(state: ReceiverState) -> None:
    """The id must be the one that the archive has, besides every layer."""

    class Renaming(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            facts = await super().inspect(reference)
            loaded = facts is not None and reference.startswith(INCOMING)
            return ImageFacts(f"sha256:{'0' * 64}", facts.diff_ids) if loaded and facts is not None else facts

    house = House(state, Renaming())

    assert isinstance(await house.error(), WrongImageError)
    assert _UNCHANGED == await house.layers()


@pytest.mark.parametrize("fails", [True, False])
async def test_a_name_that_the_engine_moves_during_a_load_is_restored(state: ReceiverState, fails: bool) -> None:
    """After a load without an error it leads to the announced image."""

    class Moving(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images |= {"hello:1.0": _OTHER, "kept:1.0": _BEFORE}
            if fails:
                raise EngineRefusedError("invalid diffID")

    house = House(state, Moving())
    if fails:
        assert "invalid diffID" == (await house.error()).message
    else:
        await house.load()

    expected = _UNCHANGED["hello:1.0"] if fails else sha256(layer())
    assert {"hello:1.0": expected, "kept:1.0": _UNCHANGED["hello:1.0"]} == await house.layers()


async def test_a_name_that_did_not_exist_is_removed_after_an_error(state: ReceiverState) -> None:
    """The engine may have given it to another image during the load."""

    class Giving(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            self.images["hello:1.0"] = _OTHER
            raise EngineRefusedError("no")

    house = House(state, Giving())
    del house.engine.images["hello:1.0"]
    await house.error()

    assert {} == await house.layers()


async def test_an_engine_that_tags_another_image_is_an_error(state: ReceiverState) -> None:
    """The name is checked after it was given."""

    class Mistaken(FakeEngine):
        async def tag(self, image_id: str, reference: str) -> None:
            wrong = image_id != before
            await super().tag(image_id, reference)
            if wrong:
                self.images[reference] = _OTHER

    house = House(state, Mistaken())
    house.engine.images["kept:1.0"] = _BEFORE
    facts = await house.engine.inspect("hello:1.0")
    before = facts.image_id if facts else ""
    error = await house.error()

    assert "the engine has given the name hello:1.0 to another image" == error.message
    assert _UNCHANGED["hello:1.0"] == (await house.layers())["hello:1.0"]


async def test_temporary_names_of_cancelled_loads_are_removed_by_the_next(state: ReceiverState) -> None:
    """Those of this receiver only; another receiver may use the engine, too."""
    house = House(state, FakeEngine())
    earlier = await house.keep()
    mine, others = f"{INCOMING}:{earlier.deployment_id}", f"{INCOMING}:{uuid4()}"
    house.engine.images |= {mine: _OTHER, others: _OTHER}
    await house.load()

    assert {"hello:1.0", others} == house.engine.images.keys()


async def test_the_temporary_name_of_a_load_under_way_is_kept(state: ReceiverState) -> None:
    """Two loads at once do not affect each other."""
    loading, go_on = asyncio.Event(), asyncio.Event()

    class Slow(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            await super().load(chunks)
            if not loading.is_set():
                loading.set()
                await go_on.wait()

    house = House(state, Slow())
    first = asyncio.create_task(house.load())
    await loading.wait()
    second = await house.load()
    go_on.set()

    assert second == await first


async def test_an_engine_that_goes_away_gets_no_further_request(state: ReceiverState) -> None:
    """The next load removes what this one left."""
    engine = FakeEngine()
    house = House(state, engine)
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, "gone")

    assert isinstance(await house.error(), EngineUnavailableError)
    assert "load" == engine.calls[-1]


async def test_a_temporary_name_that_cannot_be_removed_is_no_error(
    state: ReceiverState, caplog: pytest.LogCaptureFixture
) -> None:
    """The image has its name; the log has the error."""
    engine = FakeEngine()
    house = House(state, engine)
    engine.fail("untag", ErrorCode.BUILD_FAILED, "in use")
    await house.load()

    assert sha256(layer()) == (await house.layers())["hello:1.0"]
    assert "the next load will remove incoming.invalid/deployment:" in caplog.text
    assert ": in use" in caplog.text


async def test_a_load_does_not_need_a_list_of_images(state: ReceiverState, caplog: pytest.LogCaptureFixture) -> None:
    """Temporary names of earlier loads are left for a later load."""
    engine = FakeEngine()
    house = House(state, engine)
    engine.fail("references", ErrorCode.DOCKER_UNAVAILABLE, "an image cannot be read")
    await house.load()

    assert {"hello:1.0": sha256(layer())} == await house.layers()
    assert "an image cannot be read" in caplog.text


async def test_an_image_that_was_not_unpacked_is_an_error(state: ReceiverState) -> None:
    """The containerd image store reports success then, and has no layers."""

    class Broken(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            facts = await super().inspect(reference)
            return ImageFacts(facts.image_id, ()) if facts and reference.startswith(INCOMING) else facts

    house = House(state, Broken())
    error = await house.error()

    assert error.message.endswith("without the layers that it names")
    assert _UNCHANGED == await house.layers()
