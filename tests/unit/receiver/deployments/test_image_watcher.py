"""Loaded images compared with those of the engine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.image_watcher import ImageWatcher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import SharedEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive
from support.engine.engines import FakeEngine
from support.eventually import eventually
from support.receiver.records import keep


class House:
    """Loaded images, and the watcher that compares them with an engine."""

    def __init__(self, state: ReceiverState, engine: FakeEngine) -> None:
        self.engine = engine
        self.deployments = state.deployments
        self.shared_engine = SharedEngine(self._open, pauses_seconds=(0.01,))
        self.watcher = ImageWatcher(state, self.shared_engine, interval_seconds=0.01)

    async def _open(self) -> ContainerEngine:
        return self.engine

    async def loaded(self, tag: str = "1.0") -> Deployment:
        """Keep a package, and load its image."""
        deployment = await keep(self.deployments, image_tag=tag)
        await self.engine.load(iter([image_archive(reference=deployment.reference)]))
        facts = await self.engine.inspect(deployment.reference)
        assert facts is not None
        return await self.deployments.change(deployment.deployment_id, status="loaded", loaded_image_id=facts.image_id)

    def current(self, deployment: Deployment) -> Deployment:
        """Return the record of a deployment as it is now."""
        found = self.deployments.get(deployment.deployment_id)
        assert found is not None
        return found


@pytest.fixture
async def house(tmp_path: Path, workers: ThreadPool, engine: FakeEngine) -> AsyncIterator[House]:
    """Return one with an empty store."""
    deployments = Deployments(tmp_path, workers)
    await deployments.open()
    made = House(ReceiverState(await asyncio.to_thread(ReceiverSettings), workers, deployments), engine)
    yield made
    await made.watcher.close()
    await made.shared_engine.close()


async def test_an_image_that_the_engine_has_stays_loaded(house: House) -> None:
    """Nothing is written."""
    loaded = await house.loaded()
    await house.watcher.compare(house.engine)

    assert loaded == house.current(loaded)


async def test_an_image_that_the_engine_has_no_longer_is_a_failure(house: House) -> None:
    """It was removed, or its name leads to another image."""
    removed, renamed = await house.loaded("1"), await house.loaded("2")
    del house.engine.images["hello:1"]
    house.engine.images["hello:2"] = image_archive("legacy", "hello:2", [])
    await house.watcher.compare(house.engine)
    found = [house.current(one) for one in (removed, renamed)]

    assert [("failed", "BUILD_FAILED")] * 2 == [(one.status, one.error_code) for one in found]
    assert "the image hello:1 was removed, or its name was given to another image" == found[0].error_message


async def test_a_package_that_arrives_again_meanwhile_is_left_unchanged(house: House) -> None:
    """Its new state is not that of its old image."""
    loaded = await house.loaded()
    changed = await house.deployments.change(loaded.deployment_id, status="received")
    await house.watcher._record_loss(loaded)

    assert changed == house.current(loaded)


async def test_it_compares_at_intervals(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """As soon as the engine responds, and also after errors."""
    loaded = await house.loaded()
    house.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, times=2)
    house.engine.fail("inspect", ErrorCode.DOCKER_UNAVAILABLE, "gone")
    house.watcher.start()
    await eventually(lambda: "could not be compared with the engine: gone" in caplog.text)
    assert "loaded" == house.current(loaded).status
    house.engine.images.clear()
    await eventually(lambda: house.current(loaded).status == "failed")


async def test_an_unexpected_error_does_not_end_the_comparing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback."""
    loaded = await house.loaded()
    house.engine.images["hello:1.0"] = b"no archive"
    house.watcher.start()
    await eventually(lambda: "unexpected error while comparing the loaded images" in caplog.text)
    assert "Traceback" in caplog.text
    house.engine.images.clear()
    await eventually(lambda: house.current(loaded).status == "failed")
