"""Records and engine compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, ContainerLimits, ContainerSpec
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.reconciling import Reconciler
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment, Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.services import Services
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import Engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive
from support.engine.engines import FakeEngine
from support.receiver.in_process import until


class House:
    """A store, an engine and who compares them."""

    def __init__(self, shared: ReceiverState, engine: FakeEngine) -> None:
        self.engine = engine
        self.deployments = shared.deployments
        self.opened = Engine(self._open, pauses_seconds=(0.01,))
        self.reconciler = Reconciler(
            shared, Services(shared), self.opened, look_every_seconds=0.01, engine_seconds=0.05
        )

    async def _open(self) -> ContainerEngine:
        return self.engine

    async def deployed(self, tag: str = "1.0", *, run: bool = False) -> Deployment:
        """Deploy a package as a receiver would."""
        fields = UploadFields(package_id=str(uuid4()), checksum="0" * 64, container_name="hello", image_tag=tag)
        staged = await self.deployments.begin(str(uuid4()))
        deployment = await self.deployments.keep(staged, Deployment.new(staged.entry_id, fields, size_bytes=0))
        await self.engine.load(iter([image_archive(reference=deployment.reference)]))
        facts = await self.engine.inspect(deployment.reference)
        assert facts is not None
        changes = {"status": "loaded", "image_id": facts.image_id}
        if run:
            limits = ContainerLimits(memory_bytes=1, cpus=None, pids=1, log_file_bytes=1, log_files=1)
            container_id = await self.engine.runtime.create(ContainerSpec(facts.image_id, f"hello-{tag}", {}, limits))
            await self.engine.runtime.start(container_id)
            changes |= {"status": "running", "container_id": container_id}
        return await self.deployments.change(deployment.deployment_id, **changes)

    def now(self, deployment: Deployment) -> Deployment:
        """Return a deployment's state."""
        found = self.deployments.get(deployment.deployment_id)
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def a_house(folder: Path, workers: ThreadPool, *, run: bool) -> AsyncIterator[House]:
    """Make one with an empty store."""
    deployments = Deployments(folder, workers)
    await deployments.open()
    house = House(ReceiverState(await asyncio.to_thread(ReceiverSettings, run=run), workers, deployments), FakeEngine())
    yield house
    await house.reconciler.close()
    await house.opened.close()


@pytest.fixture
async def house(tmp_path: Path, workers: ThreadPool) -> AsyncIterator[House]:
    """Of a receiver that starts no containers."""
    async with a_house(tmp_path, workers, run=False) as made:
        yield made


async def test_what_the_engine_has_stays_as_it_is(house: House) -> None:
    """A loaded image and a started container."""
    loaded, running = await house.deployed("1"), await house.deployed("2", run=True)
    await house.reconciler.look(house.engine)
    assert (loaded, running) == (house.now(loaded), house.now(running))


async def test_a_container_that_is_gone_does_not_run(house: House) -> None:
    """Its deployment says so."""
    running = await house.deployed(run=True)
    house.engine.runtime.containers.clear()
    await house.reconciler.look(house.engine)
    found = house.now(running)
    assert ("failed", "BUILD_FAILED") == (found.status, found.error_code)
    assert "its container is gone: somebody has removed it" == found.error_message


async def test_an_image_that_is_gone_is_not_loaded(house: House) -> None:
    """Removed, or without its name."""
    removed, renamed = await house.deployed("1"), await house.deployed("2")
    del house.engine.images["hello:1"]
    house.engine.images["hello:2"] = image_archive("legacy", "hello:2", [])
    await house.reconciler.look(house.engine)
    found = [house.now(one) for one in (removed, renamed)]
    assert ["failed", "failed"] == [one.status for one in found]
    assert "somebody has removed hello:1 or named another image so" == found[0].error_message


async def test_what_arrives_again_meanwhile_is_left_alone(house: House) -> None:
    """Its new state is not that of its old container."""
    running = await house.deployed(run=True)
    house.engine.runtime.containers.clear()
    changed = await house.deployments.change(running.deployment_id, status="received")
    await house.reconciler._gone(running, "gone")
    assert changed == house.now(running)


async def test_what_a_kill_has_left_behind_is_replaced(house: House) -> None:
    """The one before the last runs no longer."""
    old, new = await house.deployed("1", run=True), await house.deployed("2", run=True)
    await house.reconciler.look(house.engine)
    assert ["replaced", "running"] == [house.now(one).status for one in (old, new)]


async def test_it_looks_again_and_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """As soon as the engine answers, and whatever happens meanwhile."""
    loaded = await house.deployed()
    house.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    house.engine.fail("inspect", ErrorCode.DOCKER_UNAVAILABLE, "gone")
    house.reconciler.start()
    await until(lambda: "could not be compared with the engine: gone" in caplog.text)
    assert "loaded" == house.now(loaded).status
    house.engine.images.clear()
    await until(lambda: house.now(loaded).status == "failed")


async def test_a_loaded_image_serves_where_nothing_more_is_wanted(house: House) -> None:
    """As long as the engine has it."""
    loaded = await house.deployed()
    assert await house.reconciler.serves(loaded)
    house.engine.images.clear()
    assert not await house.reconciler.serves(loaded)


async def test_a_loaded_image_does_not_serve_where_a_container_is_wanted(tmp_path: Path, workers: ThreadPool) -> None:
    """It is to be started."""
    async with a_house(tmp_path, workers, run=True) as house:
        assert not await house.reconciler.serves(await house.deployed())


async def test_a_container_serves_while_it_runs(house: House) -> None:
    """Not once it is stopped, gone, or its image is no longer there."""
    running = await house.deployed(run=True)
    assert await house.reconciler.serves(running)
    assert running.container_id is not None
    house.engine.runtime.change(running.container_id, status="exited")
    assert not await house.reconciler.serves(running)
    house.engine.runtime.change(running.container_id, status="running")
    house.engine.images.clear()
    assert not await house.reconciler.serves(running)


@pytest.mark.parametrize("status", ["replaced", "failed"])
async def test_what_has_ended_otherwise_does_not_serve(house: House, status: str) -> None:
    """Whatever the engine has."""
    deployment = await house.deployed()
    assert not await house.reconciler.serves(await house.deployments.change(deployment.deployment_id, status=status))


async def test_nothing_serves_that_the_engine_does_not_speak_of(house: House) -> None:
    """Because it is away, or hangs."""
    loaded = await house.deployed()
    house.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE)
    assert not await house.reconciler.serves(loaded)
    house.engine.hold.clear()
    assert not await house.reconciler.serves(loaded)
