"""Packages an image and sends it, with a tick beside; a program, so that its memory and its loop can be measured.

`python -m bench.journey JSON` reads `{"settings": .., "package": .., "url": ..}` and prints JSON.
"""

import asyncio
import json
import sys
from typing import Any

from bench.ticks import ticking
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelContainerPackageInput,
    ModelPackageTransferInput,
    NodeDeploymentSenderEffect,
)
from soak.process import peak_bytes


async def _go(task: dict[str, Any]) -> dict[str, Any]:
    async with NodeDeploymentSenderEffect(task["settings"]) as node, ticking() as late_ms:
        packaged = await node.package_container(ModelContainerPackageInput.read(task["package"]))
        if not packaged.success:
            raise RuntimeError(packaged.error_message)
        sending = {"package_id": packaged.package_id, "remote_receiver_url": task["url"], "wait_for": "received"}
        sent = await node.transfer_package(ModelPackageTransferInput.read(sending))
        if not sent.success:
            raise RuntimeError(sent.error_message)
    return {"checksum": packaged.package_checksum, "late_ms": late_ms, "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_go(json.loads(sys.argv[1])))))
