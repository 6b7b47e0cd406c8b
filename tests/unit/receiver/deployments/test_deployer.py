"""Images in the background of the answers."""

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
from uuid import uuid4

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, ImageFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.deployer import Deployer
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment, Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import Engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer, sha256
from support.engine.engines import FakeEngine
from support.process.clock import put_forward
from support.receiver.in_process import until


@dataclass
class Loading:
    """A loader over an empty store."""

    loader: Deployer
    shared: ReceiverState
    engine: FakeEngine

    async def keep(self, package: bytes, *, tag: str = "1.0") -> Deployment:
        """Keep a package, without loading it."""
        fields = UploadFields(
            package_id=str(uuid4()), checksum=blake3(package).hexdigest(), container_name="hello", image_tag=tag
        )
        staged = await self.shared.deployments.begin(str(uuid4()))
        await asyncio.to_thread(staged.file.write, package)
        deployment = Deployment.new(staged.entry_id, fields, size_bytes=len(package))
        return await self.shared.deployments.keep(staged, deployment)

    def now(self, deployment: Deployment) -> Deployment:
        """Tell a deployment's state."""
        found = self.shared.deployments.get(deployment.deployment_id)
        assert found is not None
        return found

    async def reached(self, deployment: Deployment, status: str) -> Deployment:
        """Wait for a status."""
        await until(lambda: self.now(deployment).status == status)
        return self.now(deployment)

    async def ended(self, package: bytes, *, tag: str = "1.0") -> Deployment:
        """Deploy a package and wait for its end."""
        deployment = await self.keep(package, tag=tag)
        self.loader.submit(deployment)
        await until(lambda: self.now(deployment).finished)
        return self.now(deployment)


Make = Callable[..., AbstractAsyncContextManager[Loading]]


@pytest.fixture
def make(tmp_path: Path, workers: ThreadPool) -> Make:
    """Answer a function that makes a loader."""

    @contextlib.asynccontextmanager
    async def made(engine: FakeEngine | None = None, **settings: Any) -> AsyncIterator[Loading]:
        used = engine or FakeEngine()

        async def open_engine() -> ContainerEngine:
            return used

        deployments = Deployments(tmp_path, workers)
        await deployments.open()
        made = {"store": tmp_path, "start_watch_seconds": 0.01} | settings
        shared = ReceiverState(await asyncio.to_thread(ReceiverSettings, **made), workers, deployments)
        opened = Engine(open_engine, pauses_seconds=(0.01, 0.01))
        loader = Deployer(shared, Packages(shared), opened)
        yield Loading(loader, shared, used)
        await loader.close()
        await opened.close()

    return made


async def test_an_image_is_loaded_and_checked(make: Make) -> None:
    """It ends as `loaded`, with the engine's id."""
    async with make() as loading:
        state = await loading.ended(gzip.compress(image_archive()))
        facts = await loading.engine.inspect("hello:1.0")
    assert facts is not None
    assert (state.status, state.image_id, state.container_id) == ("loaded", facts.image_id, None)
    assert {"hello:1.0"} == loading.engine.images.keys()
    assert "deployment_receiver_loads_succeeded_total 1" in loading.shared.counters.text(0, {})


async def test_a_container_is_started_where_that_is_wanted(make: Make) -> None:
    """It ends as `running`, and the container tells whose it is."""
    async with make(run=True) as loading:
        state = await loading.ended(image_archive())
    assert state.status == "running"
    assert state.container_id is not None
    image_id, labels = loading.engine.containers["hello"]
    assert image_id == state.image_id
    assert (state.deployment_id, state.package_id) == (
        labels["omninode.deployment.id"],
        labels["omninode.deployment.package"],
    )


async def test_an_archive_that_may_not_be_loaded_never_meets_the_engine(make: Make) -> None:
    """It ends as `failed`, with the reason."""
    async with make() as loading:
        state = await loading.ended(image_archive(reference="other:1.0"))
    assert (state.status, state.error_code) == ("failed", "VALIDATION_ERROR")
    assert "other:1.0" in str(state.error_message)
    assert loading.engine.calls == []


async def test_an_engine_that_has_another_image_afterwards_is_told(make: Make) -> None:
    """Whoever put it there."""

    class Elsewhere(FakeEngine):
        async def inspect(self, reference: str) -> ImageFacts | None:
            return ImageFacts("sha256:0", ("sha256:0",))

    async with make(Elsewhere()) as loading:
        state = await loading.ended(image_archive())
    assert (state.status, state.error_code) == ("failed", "VALIDATION_ERROR")
    assert str(state.error_message).startswith("the engine has loaded another image than sha256:")


async def test_an_engine_that_refuses_is_told(make: Make) -> None:
    """With its own code and words, once."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.BUILD_FAILED, "invalid diffID")
    async with make(engine) as loading:
        state = await loading.ended(image_archive())
    assert (state.status, state.error_code, state.error_message) == ("failed", "BUILD_FAILED", "invalid diffID")
    assert engine.calls.count("load") == 1


async def test_an_engine_that_goes_away_meanwhile_is_asked_again(make: Make) -> None:
    """Each step by itself, some times."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    async with make(engine, run=True) as loading:
        state = await loading.ended(image_archive())
    assert (state.status, state.error_code, state.error_message) == ("running", None, None)
    assert (engine.calls.count("load"), engine.calls.count("run")) == (3, 3)


async def test_an_engine_that_breaks_off_every_load_is_given_up(make: Make) -> None:
    """After the last try: it answers, so waiting for it would not help."""
    engine = FakeEngine()
    engine.fail("load", ErrorCode.DOCKER_UNAVAILABLE, "gone", times=3)
    async with make(engine) as loading:
        state = await loading.ended(image_archive())
    assert (state.status, state.error_code, state.error_message) == ("failed", "DOCKER_UNAVAILABLE", "gone")


async def test_an_absent_engine_is_waited_for(make: Make) -> None:
    """Longer than a load may take; the deployment says what it waits for."""
    engine = FakeEngine()
    engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=100_000)
    async with make(engine) as loading:
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await until(lambda: loading.now(deployment).error_message == "not there")
        left = engine.failures_left("ping")
        put_forward(10 * loading.shared.settings.load_timeout_seconds)
        await until(lambda: engine.failures_left("ping") < left)
        waiting = loading.now(deployment)
        engine.heal("ping")
        state = await loading.reached(deployment, "loaded")
    expected = ("received", "DOCKER_UNAVAILABLE", "not there")
    assert expected == (waiting.status, waiting.error_code, waiting.error_message)
    assert (None, None) == (state.error_code, state.error_message)


async def test_an_engine_that_goes_away_between_load_and_start_is_waited_for(make: Make) -> None:
    """The image is loaded, and not loaded again."""
    engine = FakeEngine()
    engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE, "restarting")
    async with make(engine, run=True) as loading:
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await until(lambda: loading.now(deployment).error_message == "restarting")
        waiting = loading.now(deployment)
        await loading.reached(deployment, "running")
    assert (waiting.status, waiting.finished) == ("loaded", False)
    assert engine.calls.count("load") == 1


async def test_an_engine_that_never_ends_is_given_up(make: Make) -> None:
    """After the load's time-out."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, load_timeout_seconds=0.1) as loading:
        state = await loading.ended(image_archive())
    assert (state.error_code, state.error_message) == ("DOCKER_UNAVAILABLE", "not loaded within 0.1 s")


async def test_an_engine_that_hangs_as_a_whole_is_waited_for(make: Make) -> None:
    """Its silence is no load that takes too long."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, load_timeout_seconds=0.1) as loading:
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await loading.reached(deployment, "loading")
        engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "frozen", times=100_000)
        await until(lambda: loading.now(deployment).error_message == "frozen")
        assert loading.now(deployment).status == "received"
        engine.hold.set()
        engine.heal("ping")
        await loading.reached(deployment, "loaded")


async def test_a_package_that_cannot_be_read_is_told(make: Make, tmp_path: Path) -> None:
    """Whatever the disk says, without where the store is."""
    async with make() as loading:
        deployment = await loading.keep(image_archive())
        loading.shared.deployments.package_file(deployment).unlink()
        loading.loader.submit(deployment)
        state = await loading.reached(deployment, "failed")
    assert state.error_code == "TRANSFER_FAILED"
    assert "No such file or directory: 'STORE/packages/" in str(state.error_message)
    assert str(tmp_path) not in str(state.error_message)


async def test_the_unexpected_does_not_leave_a_deployment_hanging(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the log has all of it."""

    class Broken(FakeEngine):
        async def load(self, chunks: Iterator[bytes]) -> None:
            raise RuntimeError("broken")

    async with make(Broken()) as loading:
        state = await loading.ended(image_archive())
    assert (state.status, state.error_code) == ("failed", "TRANSFER_FAILED")
    assert state.error_message == "unexpected in the receiver: RuntimeError('broken')"
    assert "Traceback" in caplog.text


async def test_what_is_under_way_at_the_end_is_taken_up_at_the_next_start(make: Make) -> None:
    """Its state says so truthfully in between."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as loading:
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await loading.reached(deployment, "loading")
    async with make() as loading:
        assert loading.now(deployment).status == "loading"
        loading.loader.start()
        await loading.reached(deployment, "loaded")


async def test_the_check_of_a_package_is_broken_off_at_the_end(make: Make) -> None:
    """However long the package is."""
    info = tarfile.TarInfo("layer.tar")
    info.size = 8_000_000_000_000  # would take an hour to read
    async with make() as loading:
        deployment = await loading.keep(info.tobuf())
        path = loading.shared.deployments.package_file(deployment)
        await asyncio.to_thread(os.truncate, path, info.size + 10240)
        loading.loader.submit(deployment)
        await until(lambda: str(path) in open_files())
    assert loading.engine.calls == []
    assert loading.now(deployment).status == "received"


def open_files() -> set[str]:
    """Where this process's descriptors lead."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return found


async def test_images_of_one_name_are_loaded_in_the_order_of_their_arrival(make: Make) -> None:
    """The last one has the name."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as loading:
        packages = [image_archive(layers=[layer(number=b"%d" % number)]) for number in range(3)]
        deployments = [await loading.keep(package) for package in packages]
        for deployment in deployments:
            path = loading.shared.deployments.package_file(deployment)
            loading.loader.submit(deployment, await Packages(loading.shared).check(path, deployment))
        await loading.reached(deployments[0], "loading")
        assert [loading.now(one).status for one in deployments] == ["loading", "received", "received"]
        engine.hold.set()
        await loading.reached(deployments[2], "loaded")
        assert [loading.now(one).status for one in deployments] == ["replaced", "replaced", "loaded"]
        facts = await engine.inspect("hello:1.0")
    assert facts is not None
    assert (f"sha256:{sha256(layer(number=b'2'))}",) == facts.diff_ids


async def test_not_more_than_two_images_are_loaded_at_once(make: Make) -> None:
    """Of different names."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine) as loading:
        deployments = [
            await loading.keep(image_archive(reference=f"hello:{number}"), tag=str(number)) for number in range(3)
        ]
        for deployment in deployments:
            loading.loader.submit(deployment)
        await until(lambda: len(engine.calls) == 2)
        assert +loading.shared.deployments.count() == {"loading": 2, "received": 1}
        engine.hold.set()
        for deployment in deployments:
            await loading.reached(deployment, "loaded")


async def test_the_later_of_two_tags_has_the_container(make: Make) -> None:
    """Whichever is loaded first; the other one was replaced."""
    async with make(run=True) as loading:
        old = await loading.keep(image_archive(reference="hello:1"), tag="1")
        new = await loading.keep(image_archive(reference="hello:2"), tag="2")
        for deployment in (old, new):
            loading.loader.submit(deployment)
        await until(lambda: loading.now(old).finished and loading.now(new).finished)
        assert [loading.now(one).status for one in (old, new)] == ["replaced", "running"]
        assert loading.engine.containers["hello"][0] == loading.now(new).image_id


async def test_a_package_that_comes_late_to_its_turn_is_not_started(make: Make) -> None:
    """A later one runs already; the image is loaded all the same, as its tag is its own."""
    async with make(run=True) as loading:
        old = await loading.keep(image_archive(reference="hello:1"), tag="1")
        new = await loading.ended(image_archive(reference="hello:2"), tag="2")
        loading.loader.submit(old)
        await until(lambda: loading.now(old).finished)
        assert (loading.now(old).status, loading.now(new).status) == ("replaced", "running")
    assert loading.engine.calls.count("run") == 1
    assert "hello:1" in loading.engine.images


async def test_a_package_that_comes_late_to_its_turn_is_not_loaded(make: Make) -> None:
    """Its name and tag have led to a later image already."""
    async with make() as loading:
        old = await loading.keep(image_archive(layers=[layer(number=b"1")]))
        new = await loading.ended(image_archive(layers=[layer(number=b"2")]))
        loading.loader.submit(old)
        await until(lambda: loading.now(old).finished)
        assert (loading.now(old).status, loading.now(new).status) == ("replaced", "loaded")
    assert loading.engine.calls.count("load") == 1


async def test_a_start_that_fails_replaces_nothing(make: Make) -> None:
    """What ran before goes on, and so says its state."""
    engine = FakeEngine()
    async with make(engine, run=True) as loading:
        old = await loading.ended(image_archive())
        engine.fail("run", ErrorCode.BUILD_FAILED, "it ended at once")
        new = await loading.ended(image_archive(layers=[layer(number=b"2")]))
        assert (loading.now(old).status, loading.now(new).status) == ("running", "failed")


async def test_the_one_before_is_started_if_the_later_one_cannot_be(make: Make) -> None:
    """It had waited for its turn."""
    engine = FakeEngine()
    async with make(engine, run=True) as loading:
        old = await loading.keep(image_archive(reference="hello:1"), tag="1")
        engine.fail("run", ErrorCode.BUILD_FAILED, "it ended at once")
        new = await loading.ended(image_archive(reference="hello:2"), tag="2")
        loading.loader.submit(old)
        await loading.reached(old, "running")
        assert loading.now(new).status == "failed"


async def test_a_loaded_image_is_replaced_by_the_next_one_of_its_name_and_tag(make: Make) -> None:
    """Not by one of another tag."""
    async with make() as loading:
        old = await loading.ended(image_archive())
        other = await loading.ended(image_archive(reference="hello:2.0"), tag="2.0")
        new = await loading.ended(image_archive(layers=[layer(number=b"2")]))
        assert [loading.now(one).status for one in (old, other, new)] == ["replaced", "loaded", "loaded"]


@pytest.mark.parametrize(("then", "today", "status"), [(False, True, "running"), (True, False, "loaded")])
async def test_whether_a_container_is_started_is_todays_setting(
    make: Make, *, then: bool, today: bool, status: str
) -> None:
    """Not that of the package's arrival, and not that of an earlier start."""
    engine = FakeEngine()
    engine.hold.clear()
    async with make(engine, run=then) as loading:
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await loading.reached(deployment, "loading")
    async with make(run=today) as loading:
        loading.loader.start()
        await until(lambda: loading.now(deployment).finished)
        assert loading.now(deployment).status == status
        assert loading.now(deployment).body(run=today).will_run is today
    assert loading.engine.calls.count("run") == int(today)


@pytest.mark.parametrize(("today", "status"), [(True, "running"), (False, "loaded")])
async def test_a_start_that_was_broken_off_is_todays_setting_too(make: Make, *, today: bool, status: str) -> None:
    """The image is in the engine, and not loaded again."""
    engine = FakeEngine()
    async with make(engine, run=True) as loading:
        engine.fail("run", ErrorCode.DOCKER_UNAVAILABLE)
        deployment = await loading.keep(image_archive())
        loading.loader.submit(deployment)
        await until(lambda: loading.now(deployment).error_message is not None)
    assert loading.now(deployment).status == "loaded"
    async with make(engine, run=today) as loading:
        loading.loader.start()
        await until(lambda: loading.now(deployment).finished)
        assert loading.now(deployment).status == status
    assert engine.calls.count("load") == 1


async def test_what_has_ended_as_loaded_is_not_started_by_a_restart(make: Make) -> None:
    """That its container is wanted says who sends it again."""
    async with make() as loading:
        deployment = await loading.ended(image_archive())
    async with make(run=True) as loading:
        loading.loader.start()
        assert loading.shared.deployments.unfinished() == []
        assert loading.now(deployment).body(run=True).will_run is False
