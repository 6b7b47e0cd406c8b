"""Worlds for the conformance tests of `DeployTarget`: a fake, the real receiver over TCP, and a scripted one."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import open_targets
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    InvalidInputError,
    PackageTooLargeError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    ContainerEngine,
    DeploymentState,
    DeployTarget,
    DeployTargets,
    PackageContent,
    Receipt,
    ReceiverInfo,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.server import serving
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings, ReceiverSettings
from support.archives.archives import config_of, image_archive, layer, sha256
from support.engine.engines import FakeEngine
from support.receiver.scripted import Reply, ScriptedReceiver
from support.sending.target import FakeTargets

__all__ = ["FakeWorld", "RealWorld", "ScriptedWorld", "World"]

_KEY = "main:0123456789abcdef0123456789abcdef"
_UNREACHABLE_URL = "http://127.0.0.1:1"  # no process listens there


class World(ABC):
    """Receivers of one kind, and a package for them.

    Args:
        folder: For the files of the test.

    Attributes:
        package: The bytes of the package: three chunks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        layers = [layer(noise=os.urandom(2_500_000))]
        self.package = image_archive(layers=layers)
        self._identity = PackageIdentity(
            package_id="5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10",
            checksum=blake3(self.package).hexdigest(),
            container_name="hello",
            image_tag="1.0",
            size_bytes=len(self.package),
            compression="none",
            config_digest=f"sha256:{sha256(config_of(layers))}",
        )
        self._stack = AsyncExitStack()
        self._opened: list[DeployTargets] = []

    @contextmanager
    def content(self, identity: dict[str, Any] | None = None, **changes: Any) -> Iterator[PackageContent]:
        """Open the package."""
        path = self.folder / "package"
        path.write_bytes(self.package)
        with path.open("rb", buffering=0) as file:
            known = replace(self._identity, **(identity or {}))
            yield replace(PackageContent(known, file, "image.tar", verify_checksum=True), **changes)

    async def close(self) -> None:
        """Close everything."""
        await self.close_targets()
        await self._stack.aclose()

    async def close_targets(self) -> None:
        """Close all targets."""
        for targets in self._opened:
            await targets.close()

    @abstractmethod
    async def targets(self) -> DeployTargets:
        """Return targets whose settings allow them."""

    @abstractmethod
    async def accepting(self) -> DeployTarget:
        """Return a receiver that accepts the package."""

    @abstractmethod
    async def refusing(self) -> DeployTarget:
        """Return a receiver that refuses the sender."""

    @abstractmethod
    async def limited(self) -> DeployTarget:
        """Return a receiver whose limit is below the package."""

    @abstractmethod
    async def mismatching(self) -> DeployTarget:
        """Return a receiver that finds another checksum than `content(identity={"checksum": ...})` announces."""

    @abstractmethod
    async def forbidden(self) -> DeployTarget:
        """Return a receiver that the sender's settings do not allow."""

    @abstractmethod
    async def unreachable(self) -> DeployTarget:
        """Return a receiver that is not there."""

    @abstractmethod
    def received(self) -> list[bytes]:
        """Return the packages that the receivers have, whole."""

    @abstractmethod
    def is_idle(self) -> bool:
        """Whether no upload is in progress, and none has left anything behind."""


class FakeWorld(World):
    """Scripted fakes of the port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._fake = FakeTargets(
            receipts=[Receipt("d-1", checksum_verified=True, status="received", status_url="http://fake/d-1")],
            states=[DeploymentState("d-1", "received")],
            infos=[ReceiverInfo("1.0.0", "2026-01-01T00:00:00Z")],
        )
        self._opened.append(self._fake)

    async def targets(self) -> DeployTargets:
        return self._fake

    async def accepting(self) -> DeployTarget:
        return self._fake.open("http://fake")

    async def refusing(self) -> DeployTarget:
        return self._failing(TransferError("the request must be signed", retry=False))

    async def limited(self) -> DeployTarget:
        return self._failing(PackageTooLargeError("at most 1 MB"))

    async def mismatching(self) -> DeployTarget:
        return self._failing(ChecksumMismatchError("another checksum"))

    async def unreachable(self) -> DeployTarget:
        error = ReceiverUnreachableError("connection refused")
        self._fake.infos, self._fake.states = [error], [error]
        return self._failing(error)

    async def forbidden(self) -> DeployTarget:
        self._fake.refusal = InvalidInputError("fake is not in allowed_receivers")
        return self._fake.open("http://fake")

    def _failing(self, error: Exception) -> DeployTarget:
        self._fake.receipts = [error]
        return self._fake.open("http://fake")

    def received(self) -> list[bytes]:
        return self._fake.contents

    def is_idle(self) -> bool:
        return not self._fake.deploying


class _HttpWorld(World):
    """Receivers over TCP."""

    async def targets(self, **settings: Any) -> DeployTargets:
        targets = await open_targets(DeploymentSenderSettings.model_validate(settings))
        self._opened.append(targets)
        return targets

    async def unreachable(self) -> DeployTarget:
        return (await self.targets()).open(_UNREACHABLE_URL)

    async def forbidden(self) -> DeployTarget:
        return (await self.targets(allowed_receivers=("edge.example",))).open("http://127.0.0.1:8001")


class RealWorld(_HttpWorld):
    """The real receiver in this process; only its engine is a fake."""

    async def accepting(self) -> DeployTarget:
        return await self._open(signing_keys=(_KEY,))

    async def refusing(self) -> DeployTarget:
        return await self._open(signing_keys=("other:ffffffffffffffffffffffffffffffff",))

    async def limited(self) -> DeployTarget:
        return await self._open(signing_keys=(_KEY,), max_package_size_gb=0.001)

    async def mismatching(self) -> DeployTarget:
        return await self.accepting()

    async def _open(self, **settings: Any) -> DeployTarget:
        store = self.folder / "store"
        made = await asyncio.to_thread(ReceiverSettings.load, {"port": 0, "store": store} | settings, {})
        url = await self._stack.enter_async_context(_serving(made))
        return (await self.targets(signing_key=_KEY)).open(url)

    def received(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.folder / "store" / "packages").glob("*/package")]

    def is_idle(self) -> bool:
        return not any((self.folder / "store" / "staging").glob("*"))


@asynccontextmanager
async def _serving(settings: ReceiverSettings) -> AsyncIterator[str]:
    engine = FakeEngine()

    async def open_engine() -> ContainerEngine:
        return engine

    async with serving(settings, open_engine) as url:
        yield url


class ScriptedWorld(_HttpWorld):
    """A receiver that gives scripted responses, as one of another make might."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._receivers: list[ScriptedReceiver] = []

    async def accepting(self) -> DeployTarget:
        body: dict[str, object] = {
            "deployment_id": "d-1",
            "checksum_verified": True,
            "status": "received",
            "status_url": "deployments/d-1",
            "version": "1.0.0",
            "time": "2026-01-01T00:00:00Z",
        }
        return await self._open(Reply(body=body))

    async def refusing(self) -> DeployTarget:
        return await self._open(Reply(401, {"error_message": "the request must be signed"}))

    async def limited(self) -> DeployTarget:
        return await self._open(Reply(413, {"error_message": "at most 1 MB"}, read_bytes=1000))

    async def mismatching(self) -> DeployTarget:
        return await self._open(Reply(422, {"error_code": "CHECKSUM_MISMATCH", "error_message": "another checksum"}))

    async def _open(self, reply: Reply) -> DeployTarget:
        receiver = await self._stack.enter_async_context(ScriptedReceiver(reply))
        self._receivers.append(receiver)
        return (await self.targets()).open(receiver.url)

    def received(self) -> list[bytes]:
        heard = [request for receiver in self._receivers for request in receiver.heard]
        return [request.form()["package"] for request in heard if request.method == "POST" and request.is_whole]

    def is_idle(self) -> bool:
        return all(receiver.idle for receiver in self._receivers)
