"""Owns every client and store of one node: opened when first needed, closed in reverse order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .contract import NodeContract, load_contract
from .ports import DeployTargets, EventPublisher, ImageEngine
from .settings import DeploymentSenderSettings
from .telemetry.metrics import Metrics

if TYPE_CHECKING:
    from .outbox.publisher import OutboxPublisher
    from .store.packages import PackageStore

__all__ = ["Openers", "Resources"]

_log = logging.getLogger(__name__)


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


async def _loaded(client: str) -> None:
    """Load a client's module when it is opened, in a thread: it takes longer than a loop may wait."""
    await asyncio.to_thread(import_module, f".clients.{client}", __package__)


async def _open_engine(settings: DeploymentSenderSettings) -> ImageEngine:
    await _loaded("docker.engine")
    from .clients.docker.engine import open_engine  # noqa: PLC0415

    return await open_engine(
        docker_host=settings.docker_host,
        tls_verify=settings.docker_tls_verify,
        cert_path=settings.docker_cert_path,
        config_path=settings.docker_config,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        build_timeout_seconds=settings.build_timeout_seconds,
        export_silence_timeout_seconds=settings.export_silence_timeout_seconds,
    )


async def _open_targets(settings: DeploymentSenderSettings) -> DeployTargets:
    await _loaded("http.target")
    from .clients.http.target import open_targets  # noqa: PLC0415

    return await open_targets(settings)


async def _open_publisher(settings: DeploymentSenderSettings) -> EventPublisher:
    await _loaded("kafka.publisher")
    from .clients.kafka.publisher import open_publisher  # noqa: PLC0415

    assert settings.kafka_bootstrap_servers  # noqa: S101 - the courier asks only where there is a broker
    return await open_publisher(settings.kafka_bootstrap_servers, settings.publish_timeout_seconds)


@dataclass(frozen=True, slots=True)
class Openers:
    """How each client is opened; tests put fakes of the ports here."""

    engine: Callable[[DeploymentSenderSettings], Awaitable[ImageEngine]] = _open_engine
    targets: Callable[[DeploymentSenderSettings], Awaitable[DeployTargets]] = _open_targets
    publisher: Callable[[DeploymentSenderSettings], Awaitable[EventPublisher]] = _open_publisher


class _Lazy(Generic[C]):
    """One client: opened once under its own lock, so that a slow one delays no other; a failed open keeps nothing."""

    def __init__(self, name: str, open_: Callable[[], Awaitable[C]], closers: AsyncExitStack) -> None:
        self._name = name
        self._open = open_
        self._closers = closers
        self._lock = asyncio.Lock()
        self._client: C | None = None

    async def get(self) -> C:
        async with self._lock:
            if self._client is None:
                self._client = await self._open()
                self._closers.push_async_callback(self._close)
            return self._client

    async def _close(self) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.close()
        except Exception:  # noqa: BLE001 - one failing close must not keep the others open
            _log.warning("closing the %s failed", self._name, exc_info=True)


class Resources:
    """Everything that handlers share.

    Args:
        settings: Read once.
        openers: How clients are opened.

    Attributes:
        settings: As given.
        metrics: The node's counters.
    """

    def __init__(self, settings: DeploymentSenderSettings, openers: Openers | None = None) -> None:
        openers = openers or Openers()
        self.settings = settings
        self.metrics = Metrics()
        self._contract: NodeContract | None = None
        self._store: PackageStore | None = None
        self._closers = AsyncExitStack()
        self._engine = _Lazy("engine", lambda: openers.engine(settings), self._closers)
        self._targets = _Lazy("connections to receivers", lambda: openers.targets(settings), self._closers)
        self._courier = _Lazy("courier", lambda: self._open_courier(openers), self._closers)

    async def contract(self) -> NodeContract:
        """The node's own contract.yaml, read once."""
        if self._contract is None:
            self._contract = await asyncio.to_thread(load_contract)
        return self._contract

    async def store(self) -> "PackageStore":
        """The package store; it makes its folder when the first package begins."""
        if self._store is None:
            await asyncio.to_thread(import_module, ".store.packages", __package__)
        from .store.packages import PackageStore  # noqa: PLC0415 - loaded where it is used

        if self._store is None:  # still: another caller may have been faster
            self._store = PackageStore(self.settings.package_folder)
        return self._store

    async def engine(self) -> ImageEngine:
        """The Docker Engine. DOCKER_UNAVAILABLE."""
        return await self._engine.get()

    async def targets(self) -> DeployTargets:
        """The receivers that packages are sent to. `InvalidInputError` if the files for TLS cannot be used."""
        return await self._targets.get()

    async def courier(self) -> "OutboxPublisher":
        """The outbox with the broker behind it. KAFKA_PUBLISH_FAILED when the outbox cannot be opened."""
        return await self._courier.get()

    async def _open_courier(self, openers: Openers) -> "OutboxPublisher":
        await asyncio.to_thread(import_module, ".outbox.publisher", __package__)
        from .outbox.publisher import OutboxPublisher  # noqa: PLC0415 - loaded where it is used

        settings = self.settings
        open_publisher = (lambda: openers.publisher(settings)) if settings.kafka_bootstrap_servers else None
        return OutboxPublisher(settings.package_folder / "outbox.sqlite3", open_publisher)

    async def close(self) -> None:
        """Close what is open, newest first; twice is safe, and the next use opens anew."""
        await self._closers.aclose()
