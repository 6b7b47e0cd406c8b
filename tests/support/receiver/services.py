"""A receiver's services over a store, without its HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment, Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.services import Services
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.watching import Watching
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings

__all__ = ["Serving", "serving_from"]


@dataclass
class Serving:
    """Starts what is loaded already, and writes down what became of it, as the receiver's loader does."""

    shared: ReceiverState
    engine: ContainerEngine
    services: Services
    watching: Watching

    async def loaded(self, image_name: str, image_id: str, tag: str = "1.0") -> Deployment:
        """Keep a package whose image is loaded."""
        fields = UploadFields(package_id=str(uuid4()), checksum="0" * 64, container_name=image_name, image_tag=tag)
        staged = await self.shared.deployments.begin(str(uuid4()))
        deployment = Deployment.new(staged.entry_id, fields, size_bytes=0)
        await self.shared.deployments.keep(staged, deployment)
        return await self.shared.deployments.change(deployment.deployment_id, status="loaded", image_id=image_id)

    async def start(self, deployment: Deployment) -> Deployment:
        """Start its container."""
        assert deployment.image_id is not None
        try:
            container_id = await self.services.start(self.engine, deployment, deployment.image_id)
        except DeploymentSenderError as exc:
            failed = {"status": "failed", "error_code": exc.code.value, "error_message": exc.message}
            return await self.shared.deployments.change(deployment.deployment_id, **failed)
        return await self.shared.deployments.change(
            deployment.deployment_id, status="running", container_id=container_id
        )

    async def deploy(self, image_name: str, image_id: str, tag: str = "1.0") -> Deployment:
        """Do both."""
        return await self.start(await self.loaded(image_name, image_id, tag))

    def now(self, deployment: Deployment) -> Deployment:
        """Return a deployment's state."""
        found = self.shared.deployments.get(deployment.deployment_id)
        assert found is not None
        return found

    async def seen(self, deployment: Deployment, status: str, **fields: object) -> Deployment:
        """Look at what runs until a deployment has a status, and fields besides."""
        while True:
            await self.watching.look()
            now = self.now(deployment)
            if now.status == status and all(getattr(now, name) == value for name, value in fields.items()):
                return now
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving_from(store: Path, engine: ContainerEngine, **settings: Any) -> AsyncIterator[Serving]:
    """Open a store; the settings are quick unless given."""
    made = {"store": store, "start_watch_seconds": 0.01, "container_stop_seconds": 1} | settings
    workers = ThreadPool(2)
    try:
        deployments = Deployments(store, workers)
        await deployments.open()
        shared = ReceiverState(await asyncio.to_thread(ReceiverSettings, **made), workers, deployments)
        services = Services(shared)

        async def opened() -> ContainerEngine:
            return engine

        yield Serving(shared, engine, services, Watching(shared, services, opened))
    finally:
        await workers.close()


def unavailable() -> DeploymentSenderError:
    """What an engine that went away raises."""
    return DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "gone")
