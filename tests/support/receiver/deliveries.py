"""Deliveries from end to end: packages of real images, a sender, and receivers on one store."""

import asyncio
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode, ModelPackageTransferOutput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import INCOMING
from support.archives.archives import config_of, image_archive, layer, sha256
from support.engine.engines import RealEngine
from support.engine.load_gate import LoadGate
from support.http.raw import written_upload
from support.process.ports import free_port
from support.receiver.process import ReceiverProcess
from support.sending.node import Sender

__all__ = ["Deliveries", "Parcel", "failed"]

_LAYER_BYTES = 1_000_000  # so that a gate can stop a load in the middle


@dataclass(frozen=True)
class Parcel:
    """A package of the sender's store.

    Attributes:
        package_id: Its id there.
        reference: The image's `name:tag`.
        content: The package file's bytes.
    """

    package_id: str
    reference: str
    content: bytes


class Deliveries:
    """Everything that a test of a receiver needs, except the receiver itself.

    Args:
        folder: A temporary one.
        engine: Loads the images.
        gate: Between the receivers and that engine.

    Attributes:
        gate: As given.
        store: The folder of the receivers.
        sender: Keeps the packages, and opens nodes.
    """

    def __init__(self, folder: Path, engine: RealEngine, gate: LoadGate) -> None:
        self._engine = engine
        self.gate = gate
        self.store = folder / "receiver"
        self.sender = Sender(folder / "packages")
        self._port = free_port()

    def parcel(self, layers: Sequence[bytes] | None = None, *, is_gzip: bool = True) -> Parcel:
        """Return a package of an image that the engine does not have.

        Args:
            layers: Of the image; by default one layer of 1 MB that cannot be compressed.
            is_gzip: Whether the package is compressed.
        """
        reference = self._engine.new_image()
        name, _, tag = reference.rpartition(":")
        layers = [layer(hello=os.urandom(_LAYER_BYTES))] if layers is None else layers
        archive = image_archive("legacy", reference, layers)
        content = gzip.compress(archive, 1, mtime=0) if is_gzip else archive
        package_id = self.sender.keep(
            content,
            container_name=name,
            image_tag=tag,
            compression="gzip" if is_gzip else "none",
            config_digest=f"sha256:{sha256(config_of(layers))}",
        )
        return Parcel(package_id, reference, content)

    def receiver(self, *arguments: str, **environ: str) -> ReceiverProcess:
        """Return a receiver on the store; each has the same address."""
        environ |= {"DOCKER_HOST": self.gate.docker_host}
        return ReceiverProcess(self.store, "--port", str(self._port), *arguments, environ=environ)

    @property
    def url(self) -> str:
        """The URL of the receivers."""
        return f"http://127.0.0.1:{self._port}"

    async def send(
        self, parcel: Parcel, *, attempts: int = 1, wait_for: str = "received"
    ) -> ModelPackageTransferOutput:
        """Transfer a package with a new node; return the output."""
        async with self.sender.node(transfer_attempts=attempts) as node:
            return await self.sender.send(node, parcel.package_id, self.url, wait_for=wait_for)

    @staticmethod
    def request(parcel: Parcel, *, is_chunked: bool = False) -> bytes:
        """Return the HTTP request that uploads a package."""
        name, _, tag = parcel.reference.rpartition(":")
        return written_upload(
            parcel.content, is_chunked=is_chunked, package_id=parcel.package_id, container_name=name, image_tag=tag
        )

    async def ask(self, path: str) -> httpx.Response:
        """Send a GET request to the receiver."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=120) as client:
            return await client.get(path)

    async def ended(self, deployment_id: str | None) -> dict[str, Any]:
        """Wait until a deployment has ended; return its state. The time-out of the test limits this."""
        while True:
            state: dict[str, Any] = (await self.ask(f"/deployments/{deployment_id}")).json()
            if state["status"] not in {"received", "loading"}:
                return state
            await asyncio.sleep(0.02)

    async def listed(self) -> list[tuple[str, str]]:
        """Return id and status of each deployment that the receiver lists."""
        deployments = (await self.ask("/deployments")).json()["deployments"]
        return [(one["deployment_id"], one["status"]) for one in deployments]

    def kept(self) -> list[str]:
        """Return the names in the folder of stored packages."""
        return _names(self.store / "packages")

    def staged(self) -> list[str]:
        """Return the names in the folder of incomplete uploads."""
        return _names(self.store / "staging")

    def package_file(self, deployment_id: str) -> Path:
        """Return the path of a deployment's package."""
        return self.store / "packages" / deployment_id / "package"

    def has(self, parcel: Parcel) -> bool:
        """Return whether the engine has a package's image."""
        return bool(self._engine.api.images(parcel.reference))

    def has_incoming(self, deployment_id: str | None) -> bool:
        """Return whether the engine still has the temporary name of a load."""
        return bool(self._engine.api.images(f"{INCOMING}:{deployment_id}"))


def failed(output: ModelPackageTransferOutput) -> tuple[ErrorCode | None, int]:
    """Return the code of a failed transfer, which must have a recovery, and the number of attempts."""
    assert (False, True, True) == (output.success, bool(output.error_message), bool(output.recovery)), output
    return output.error_code, output.attempts


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
