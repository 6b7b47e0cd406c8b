"""Records of deployments for tests."""

import asyncio
from typing import Any
from uuid import uuid4

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments

__all__ = ["keep", "new_deployment"]


def new_deployment(deployment_id: str = "d", *, size_bytes: int = 0, **fields: Any) -> Deployment:
    """Return the record of a package that has just arrived; `fields` are those of an upload."""
    announced: dict[str, Any] = {
        "package_id": str(uuid4()),
        "checksum": "0" * 64,
        "container_name": "hello",
        "image_tag": "1.0",
    }
    return Deployment.new(deployment_id, UploadFields(**announced | fields), size_bytes=size_bytes)


async def keep(deployments: Deployments, package: bytes = b"data", **fields: Any) -> Deployment:
    """Keep a package in a store, without deploying it."""
    staged = await deployments.begin(str(uuid4()))
    await asyncio.to_thread(staged.file.write, package)
    return await deployments.keep(staged, new_deployment(staged.entry_id, size_bytes=len(package), **fields))
