"""Deploying stored packages in the background."""

import asyncio
import contextlib
import gzip
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, ImageFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.deployer import Deployer
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import SharedEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer, sha256
from support.engine.engines import FakeEngine
from support.eventually import eventually
from support.process.clock import put_forward
from support.receiver.records import keep


@dataclass
class Deploying:
    """A deployer over an empty store."""

    deployer: Deployer
    state: ReceiverState
    engine: FakeEngine

    async def keep(self, package: bytes, *, tag: str = "1.0") -> Deployment:
        """Keep a package without deploying it."""
        return await keep(self.state.deployments, package, checksum=blake3(package).hexdigest(), image_tag=tag)

    def current(self, deployment: Deployment) -> Deployment:
        """Return the record of a deployment as it is now."""
        found = self.state.deployments.get(deployment.deployment_id)
        assert found is not None
        return found

    async def wait_for(self, deployment: Deployment, status: str) -> Deployment:
        """Wait until a deployment has a status; return its record."""
        await eventually(lambda: self.current(deployment).status == status)
        return self.current(deployment)

    async def deploy(self, package: bytes, *, tag: str = "1.0") -> Deployment:
        """Deploy a package and wait until that has finished; return its record."""
        deployment = await self.keep(package, tag=tag)
        self.deployer.submit(deployment)
        await eventually(lambda: self.current(deployment).finished)
        return self.current(deployment)


Make = Callable[..., AbstractAsyncContextManager[Deploying]]


@pytest.fixture
def make(tmp_path: Path, workers: ThreadPool) -> Make:
    """Return a function that opens a deployer."""

    @contextlib.asynccontextmanager
    async def made(engine: FakeEngine | None = None, **settings: Any) -> AsyncIterator[Deploying]:
        used = engine or FakeEngine()

        async def open_engine() -> ContainerEngine:
            return used

        deployments = Deployments(tmp_path, workers)
        await deployments.open()
        made = {"store": tmp_path, "start_watch_seconds": 0.01} | settings
        state = ReceiverState(await asyncio.to_thread(ReceiverSettings, **made), workers, deployments)
        opened = SharedEngine(open_engine, pauses_seconds=(0.01, 0.01))
        deployer = Deployer(state, Packages(state), opened)
        yield Deploying(deployer, state, used)
        await deployer.close()
        await opened.close()

    return made


async def test_an_image_is_loaded_and_checked(make: Make) -> None:
    """Its deployment ends as `loaded`, with the engine's id."""
    async with make() as deploying:
        state = await deploying.deploy(gzip.compress(image_archive()))
        facts = await deploying.engine.inspect("hello:1.0")
    assert facts is not None
    assert (state.status, state.loaded_image_id, state.container_id) == ("loaded", facts.image_id, None)
    assert {"hello:1.0"} == deploying.engine.images.keys()
    assert 1 == deploying.state.metrics.counters["loads_succeeded_total"]


async def test_a_container_is_started_where_the_receiver_does_that(make: Make) -> None:
    """Its deployment ends as `running`, and the container's labels name it."""
    async with make(run=True) as deploying:
        state = await deploying.deploy(image_archive())
    assert "running" == state.status
    assert state.container_id is not None
    image_id, labels = deploying.engine.containers["hello"]
    assert image_id == state.loaded_image_id
    assert (state.deployment_id, state.identity.package_id) == (
        labels["omninode.deployment.id"],
        labels["omninode.deployment.package"],
    )


async def test_a_package_that_is_refused_never_reaches_the_engine(make: Make) -> None:
    """Its deployment ends as `failed`, with the reason."""
    async with make() as deploying:
        state = await deploying.deploy(image_archive(reference="other:1.0"))
    assert ("failed", "VALIDATION_ERROR") == (state.status, state.error_code)
    assert "other:1.0" in str(state.error_message)
    assert [] == deploying.engine.calls


async def test_an_engine_with_another_image_afterwards_is_a_failure(make: Make) -> None:
    """Whatever gave the name to it."""

    class Elsewhere(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            return ImageFacts("sha256:0", ("sha256:0",))

    async with make(Elsewhere()) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("failed", "VALIDATION_ERROR") == (state.status, state.error_code)
    assert str(state.error_message).startswith("the engine has loaded another image than sha256:")


async def test_a_refusal_of_the_engine_is_a_failure(make: Make) -> None:
    """Its message is recorded, and the load is not repeated."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.BUILD_FAILED, "invalid diffID")
    async with make(engine) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("failed", "BUILD_FAILED", "invalid diffID") == (state.status, state.error_code, state.error_message)
    assert 1 == engine.calls.count("load")


async def test_a_step_is_repeated_when_the_engine_goes_away(make: Make) -> None:
    """Each step by itself, a limited number of times."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    async with make(engine, run=True) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("running", None, None) == (state.status, state.error_code, state.error_message)
    assert (3, 3) == (engine.calls.count("load"), engine.calls.count("run"))


async def test_a_load_that_ends_the_engine_each_time_fails(make: Make) -> None:
    """After the last attempt: the engine responds, so waiting for it would not help."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, "gone", times=3)
    async with make(engine) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("failed", "DOCKER_UNAVAILABLE", "gone") == (state.status, state.error_code, state.error_message)


async def test_an_absent_engine_is_waited_for(make: Make) -> None:
    """Longer than a load may take; the record says why the deployment waits."""
    engine = FakeEngine()
    engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=100_000)
    async with make(engine) as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await eventually(lambda: deploying.current(deployment).error_message == "not there")
        left = engine.failures_left("ping")
        put_forward(10 * deploying.state.settings.load_timeout_seconds)
        await eventually(lambda: engine.failures_left("ping") < left)
        waiting = deploying.current(deployment)
        engine.heal("ping")
        state = await deploying.wait_for(deployment, "loaded")
    expected = ("received", "DOCKER_UNAVAILABLE", "not there")
    assert expected == (waiting.status, waiting.error_code, waiting.error_message)
    assert (None, None) == (state.error_code, state.error_message)


async def test_an_engine_that_goes_away_between_load_and_start_is_waited_for(make: Make) -> None:
    """The image is loaded, and not loaded again."""
    engine = FakeEngine()
    engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE, "restarting")
    async with make(engine, run=True) as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await eventually(lambda: deploying.current(deployment).error_message == "restarting")
        waiting = deploying.current(deployment)
        await deploying.wait_for(deployment, "running")
    assert ("loaded", False) == (waiting.status, waiting.finished)
    assert 1 == engine.calls.count("load")


async def test_a_load_that_does_not_end_fails(make: Make) -> None:
    """After the load's time-out."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, load_timeout_seconds=0.1) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("DOCKER_UNAVAILABLE", "the image was not loaded within 0.1 s") == (state.error_code, state.error_message)


async def test_an_engine_that_responds_to_nothing_is_waited_for(make: Make) -> None:
    """That is not a load that takes too long."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, load_timeout_seconds=0.1) as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await deploying.wait_for(deployment, "loading")
        engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "frozen", times=100_000)
        await eventually(lambda: deploying.current(deployment).error_message == "frozen")
        assert "received" == deploying.current(deployment).status
        engine.hold.set()
        engine.heal("ping")
        await deploying.wait_for(deployment, "loaded")


async def test_a_package_that_cannot_be_read_is_a_failure(make: Make, tmp_path: Path) -> None:
    """The message has the disk's reason, without the path of the store."""
    async with make() as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.state.deployments.package_file(deployment).unlink()
        deploying.deployer.submit(deployment)
        state = await deploying.wait_for(deployment, "failed")
    assert "TRANSFER_FAILED" == state.error_code
    assert "No such file or directory: 'STORE/packages/" in str(state.error_message)
    assert str(tmp_path) not in str(state.error_message)


async def test_an_unexpected_error_ends_a_deployment(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """It is recorded, and the log has the traceback."""

    class Broken(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            raise RuntimeError("broken")

    async with make(Broken()) as deploying:
        state = await deploying.deploy(image_archive())
    assert ("failed", "TRANSFER_FAILED") == (state.status, state.error_code)
    assert "unexpected error in the receiver: RuntimeError('broken')" == state.error_message
    assert "Traceback" in caplog.text


async def test_a_deployment_that_a_stop_interrupts_is_continued_by_the_next_start(make: Make) -> None:
    """Its record says `loading` in between."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await deploying.wait_for(deployment, "loading")
    async with make() as deploying:
        assert "loading" == deploying.current(deployment).status
        deploying.deployer.start()
        await deploying.wait_for(deployment, "loaded")


async def test_a_stop_cancels_the_check_of_a_package(make: Make) -> None:
    """However long the package is."""
    info = tarfile.TarInfo("layer.tar")
    info.size = 8_000_000_000_000  # would take an hour to read
    async with make() as deploying:
        deployment = await deploying.keep(info.tobuf())
        path = deploying.state.deployments.package_file(deployment)
        await asyncio.to_thread(os.truncate, path, info.size + 10240)
        deploying.deployer.submit(deployment)
        await eventually(lambda: str(path) in open_files())
    assert [] == deploying.engine.calls
    assert "received" == deploying.current(deployment).status


def open_files() -> set[str]:
    """Return the paths of this process's open files."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return found


async def test_images_of_one_name_are_loaded_in_the_order_of_their_arrival(make: Make) -> None:
    """The last one has the name at the end."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as deploying:
        packages = [image_archive(layers=[layer(number=b"%d" % number)]) for number in range(3)]
        deployments = [await deploying.keep(package) for package in packages]
        for deployment in deployments:
            path = deploying.state.deployments.package_file(deployment)
            deploying.deployer.submit(deployment, await Packages(deploying.state).check(path, deployment))
        await deploying.wait_for(deployments[0], "loading")
        assert ["loading", "received", "received"] == [deploying.current(one).status for one in deployments]
        engine.hold.set()
        await deploying.wait_for(deployments[2], "loaded")
        assert ["replaced", "replaced", "loaded"] == [deploying.current(one).status for one in deployments]
        facts = await engine.inspect("hello:1.0")
    assert facts is not None
    assert (f"sha256:{sha256(layer(number=b'2'))}",) == facts.diff_ids


async def test_at_most_two_images_are_loaded_at_once(make: Make) -> None:
    """Of different names."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as deploying:
        deployments = [
            await deploying.keep(image_archive(reference=f"hello:{number}"), tag=str(number)) for number in range(3)
        ]
        for deployment in deployments:
            deploying.deployer.submit(deployment)
        await eventually(lambda: len(engine.calls) == 2)
        assert {"loading": 2, "received": 1} == +deploying.state.deployments.count()
        engine.hold.set()
        for deployment in deployments:
            await deploying.wait_for(deployment, "loaded")


async def test_the_later_of_two_tags_gets_the_container(make: Make) -> None:
    """Whichever is loaded first; the other one is replaced."""
    async with make(run=True) as deploying:
        old = await deploying.keep(image_archive(reference="hello:1"), tag="1")
        new = await deploying.keep(image_archive(reference="hello:2"), tag="2")
        for deployment in (old, new):
            deploying.deployer.submit(deployment)
        await eventually(lambda: deploying.current(old).finished and deploying.current(new).finished)
        assert ["replaced", "running"] == [deploying.current(one).status for one in (old, new)]
        assert deploying.engine.containers["hello"][0] == deploying.current(new).loaded_image_id


async def test_a_package_is_not_started_after_a_later_one(make: Make) -> None:
    """Its image is loaded all the same, because its tag is its own."""
    async with make(run=True) as deploying:
        old = await deploying.keep(image_archive(reference="hello:1"), tag="1")
        new = await deploying.deploy(image_archive(reference="hello:2"), tag="2")
        deploying.deployer.submit(old)
        await eventually(lambda: deploying.current(old).finished)
        assert ("replaced", "running") == (deploying.current(old).status, deploying.current(new).status)
    assert 1 == deploying.engine.calls.count("run")
    assert "hello:1" in deploying.engine.images


async def test_a_package_is_not_loaded_after_a_later_one(make: Make) -> None:
    """Its name and tag lead to a later image already."""
    async with make() as deploying:
        old = await deploying.keep(image_archive(layers=[layer(number=b"1")]))
        new = await deploying.deploy(image_archive(layers=[layer(number=b"2")]))
        deploying.deployer.submit(old)
        await eventually(lambda: deploying.current(old).finished)
        assert ("replaced", "loaded") == (deploying.current(old).status, deploying.current(new).status)
    assert 1 == deploying.engine.calls.count("load")


async def test_a_start_that_fails_replaces_nothing(make: Make) -> None:
    """The container of the earlier deployment keeps running, and its record says so."""
    engine = FakeEngine()
    async with make(engine, run=True) as deploying:
        old = await deploying.deploy(image_archive())
        engine.fail("run", ErrorCode.BUILD_FAILED, "it ended at once")
        new = await deploying.deploy(image_archive(layers=[layer(number=b"2")]))
        assert ("running", "failed") == (deploying.current(old).status, deploying.current(new).status)


async def test_an_earlier_package_is_started_if_the_later_one_cannot_be(make: Make) -> None:
    """It waited for its turn meanwhile."""
    engine = FakeEngine()
    async with make(engine, run=True) as deploying:
        old = await deploying.keep(image_archive(reference="hello:1"), tag="1")
        engine.fail("run", ErrorCode.BUILD_FAILED, "it ended at once")
        new = await deploying.deploy(image_archive(reference="hello:2"), tag="2")
        deploying.deployer.submit(old)
        await deploying.wait_for(old, "running")
        assert "failed" == deploying.current(new).status


async def test_a_loaded_image_is_replaced_by_the_next_one_of_its_name_and_tag(make: Make) -> None:
    """Not by one of another tag."""
    async with make() as deploying:
        old = await deploying.deploy(image_archive())
        other = await deploying.deploy(image_archive(reference="hello:2.0"), tag="2.0")
        new = await deploying.deploy(image_archive(layers=[layer(number=b"2")]))
        assert ["replaced", "loaded", "loaded"] == [deploying.current(one).status for one in (old, other, new)]


@pytest.mark.parametrize(("then", "today", "status"), [(False, True, "running"), (True, False, "loaded")])
async def test_a_container_is_started_by_the_current_setting(
    make: Make, *, then: bool, today: bool, status: str
) -> None:
    """The setting at the arrival of the package does not count, nor that of an earlier start."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, run=then) as deploying:
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await deploying.wait_for(deployment, "loading")
    async with make(run=today) as deploying:
        deploying.deployer.start()
        await eventually(lambda: deploying.current(deployment).finished)
        assert deploying.current(deployment).status == status
        assert deploying.current(deployment).body(run=today).will_run is today
    assert deploying.engine.calls.count("run") == int(today)


@pytest.mark.parametrize(("today", "status"), [(True, "running"), (False, "loaded")])
async def test_an_interrupted_start_follows_the_current_setting(make: Make, *, today: bool, status: str) -> None:
    """The image is in the engine and is not loaded again."""
    engine = FakeEngine()
    async with make(engine, run=True) as deploying:
        engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE)
        deployment = await deploying.keep(image_archive())
        deploying.deployer.submit(deployment)
        await eventually(lambda: deploying.current(deployment).error_message is not None)
    assert "loaded" == deploying.current(deployment).status
    async with make(engine, run=today) as deploying:
        deploying.deployer.start()
        await eventually(lambda: deploying.current(deployment).finished)
        assert deploying.current(deployment).status == status
    assert 1 == engine.calls.count("load")


async def test_a_restart_does_not_start_what_ended_as_loaded(make: Make) -> None:
    """Sending the package again does."""
    async with make() as deploying:
        deployment = await deploying.deploy(image_archive())
    async with make(run=True) as deploying:
        deploying.deployer.start()
        assert [] == deploying.state.deployments.unfinished()
        assert deploying.current(deployment).body(run=True).will_run is False
