"""A node that sends packages, checked for open files, staged packages and secrets in its output."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    NodeDeploymentSenderEffect,
)
from support.archives.archives import config_of, image_archive, layer, sha256
from support.archives.stored import keep_package

__all__ = ["KEY", "SECRET", "Sender"]

SECRET = "0123456789abcdef0123456789abcdef"
KEY = f"main:{SECRET}"


class Sender:
    """Keeps packages, and makes nodes that send them.

    Args:
        folder: The package folder.

    Attributes:
        folder: As given.
        sent_bytes: Bytes of the package sent in the last attempt.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent_bytes = 0

    def keep(self, content: bytes, **manifest: Any) -> str:
        """Put a package into the store; return its id."""
        return keep_package(self.folder, content, **manifest)[0].package_id

    def keep_image(self, size_bytes: int) -> str:
        """Put a package of an image into the store, not compressed and of this size, in whole KiB; return its id."""
        layers = [layer(noise=os.urandom(size_bytes - 20_000))]
        content = image_archive(layers=layers).ljust(size_bytes, b"\0")
        return self.keep(content, compression="none", config_digest=f"sha256:{sha256(config_of(layers))}")

    @asynccontextmanager
    async def node(self, **settings: Any) -> AsyncIterator[NodeDeploymentSenderEffect]:
        """Make a node whose time-outs no test reaches unless it sets its own; it must leave nothing behind."""
        before = _open_files()
        defaults = {"connect_timeout_seconds": 60, "idle_timeout_seconds": 60, "transfer_attempts": 3}
        async with NodeDeploymentSenderEffect({"package_dir": str(self.folder)} | defaults | settings) as node:
            yield node
        assert before == _open_files()
        assert not (self.folder / "staging").exists() or [] == list((self.folder / "staging").iterdir())

    async def send(
        self, node: NodeDeploymentSenderEffect, package_id: str, url: str, **fields: Any
    ) -> ModelPackageTransferOutput:
        """Transfer a package, until the receiver has it unless `fields` wait for more."""
        self.sent_bytes = 0
        request = ModelPackageTransferInput.read(
            {"package_id": package_id, "remote_receiver_url": url, "wait_for": "received"} | fields
        )
        output = await node.transfer_package(
            request, on_progress=lambda step: setattr(self, "sent_bytes", step.done_bytes)
        )
        assert SECRET not in repr(output)
        return output


def _open_files() -> list[str]:
    """Return the names of the package files that are open."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return sorted(name for name in found if name.endswith(".tar.gz"))
