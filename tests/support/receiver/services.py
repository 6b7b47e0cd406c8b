"""The services of a receiver over a store, without its HTTP and without loading images."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_watcher import (
    ContainerWatcher,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.failures import failure
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.services import Services
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings

__all__ = ["ServiceHarness", "open_harness"]


@dataclass
class ServiceHarness:
    """Starts containers of images that are loaded already, and records the results, as the receiver's deployer does."""

    state: ReceiverState
    engine: ContainerEngine
    services: Services
    watcher: ContainerWatcher

    async def keep_loaded(self, image_name: str, image_id: str, tag: str = "1.0") -> Deployment:
        """Keep an empty package, and record its image as loaded."""
        fields = UploadFields(package_id=str(uuid4()), checksum="0" * 64, container_name=image_name, image_tag=tag)
        staged = await self.state.deployments.begin(str(uuid4()))
        deployment = Deployment.new(staged.entry_id, fields, size_bytes=0)
        await self.state.deployments.keep(staged, deployment)
        return await self.state.deployments.change(deployment.deployment_id, status="loaded", loaded_image_id=image_id)

    async def start(self, deployment: Deployment) -> Deployment:
        """Start the container of a deployment; return the record afterwards."""
        assert deployment.loaded_image_id is not None
        try:
            container_id = await self.services.start(self.engine, deployment, deployment.loaded_image_id)
        except OperationError as exc:
            changes = failure(exc, hidden_folder=str(self.state.settings.store_folder))
            return await self.state.deployments.change(deployment.deployment_id, **changes)
        return await self.state.deployments.change(
            deployment.deployment_id, status="running", container_id=container_id
        )

    async def deploy(self, image_name: str, image_id: str, tag: str = "1.0") -> Deployment:
        """Keep a package and start its container."""
        return await self.start(await self.keep_loaded(image_name, image_id, tag))

    def current(self, deployment: Deployment) -> Deployment:
        """Return the record of a deployment as it is now."""
        found = self.state.deployments.get(deployment.deployment_id)
        assert found is not None
        return found

    async def inspected(self, deployment: Deployment) -> Deployment:
        """Inspect all containers once; return the record afterwards."""
        await self.watcher.inspect_all()
        return self.current(deployment)

    async def wait_for(self, deployment: Deployment, status: str, **fields: object) -> Deployment:
        """Inspect all containers until a deployment has a status, and these fields."""
        while True:
            now = await self.inspected(deployment)
            if now.status == status and all(getattr(now, name) == value for name, value in fields.items()):
                return now
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_harness(store: Path, engine: ContainerEngine, **settings: Any) -> AsyncIterator[ServiceHarness]:
    """Open a store; starts and stops take little time unless the settings say otherwise."""
    made = {"store": store, "start_watch_seconds": 0.01, "container_stop_seconds": 1} | settings
    workers = ThreadPool(2)
    try:
        deployments = Deployments(store, workers)
        await deployments.open()
        state = ReceiverState(await asyncio.to_thread(ReceiverSettings, **made), workers, deployments)
        services = Services(state)

        async def open_engine() -> ContainerEngine:
            return engine

        yield ServiceHarness(state, engine, services, ContainerWatcher(state, services, open_engine))
    finally:
        await workers.close()
