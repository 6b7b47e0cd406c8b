"""Owns every client and store of one node: opens each when it is first needed, and closes them in reverse order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .clients.docker import open_engine
from .concurrency import run_in_thread
from .errors import InvalidInputError
from .lazy_import import lazy_module, load
from .ports import ContainerEngine, DeployTargets, EventPublisher
from .settings import DeploymentSenderSettings
from .telemetry.catalogue import SENDER
from .telemetry.metrics import Metrics

if TYPE_CHECKING:
    from . import contract
    from .clients.http import target as http_target
    from .clients.kafka import publisher as kafka_publisher
    from .outbox import publisher as outbox_publisher
    from .outbox import thread as outbox_thread
    from .store import packages
else:
    contract = lazy_module(".contract", __package__)
    http_target = lazy_module(".clients.http.target", __package__)
    kafka_publisher = lazy_module(".clients.kafka.publisher", __package__)
    outbox_publisher = lazy_module(".outbox.publisher", __package__)
    outbox_thread = lazy_module(".outbox.thread", __package__)
    packages = lazy_module(".store.packages", __package__)

__all__ = ["Openers", "Resources"]

_log = logging.getLogger(__name__)


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


async def _open_engine(settings: DeploymentSenderSettings) -> ContainerEngine:
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
    await load(http_target)
    return await http_target.open_targets(settings)


async def _open_publisher(settings: DeploymentSenderSettings) -> EventPublisher:
    if settings.kafka_bootstrap_servers is None:
        raise InvalidInputError(
            "no broker is set", recovery="Set KAFKA_BOOTSTRAP_SERVERS to HOST:PORT of a Kafka broker, then call again."
        )
    await load(kafka_publisher)
    return await kafka_publisher.open_publisher(settings.kafka_bootstrap_servers, settings.publish_timeout_seconds)


@dataclass(frozen=True, slots=True)
class Openers:
    """How each client is opened; a program may give its own implementations of the ports."""

    engine: Callable[[DeploymentSenderSettings], Awaitable[ContainerEngine]] = _open_engine
    targets: Callable[[DeploymentSenderSettings], Awaitable[DeployTargets]] = _open_targets
    publisher: Callable[[DeploymentSenderSettings], Awaitable[EventPublisher]] = _open_publisher


class _Lazy(Generic[C]):
    """One client, opened once under its own lock: a slow one delays no other. After a failure the next call retries."""

    def __init__(self, name: str, open_: Callable[[], Awaitable[C]], closers: AsyncExitStack) -> None:
        self.name = name
        self._open = open_
        self._closers = closers
        self._lock = asyncio.Lock()
        self._client: C | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None

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
        except Exception:  # noqa: BLE001 - a failing close must not leave the others open
            _log.warning("closing the %s failed", self.name, exc_info=True)


class Resources:
    """The clients and stores that the handlers share.

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
        self.metrics = Metrics(SENDER)
        self._contract: contract.NodeContract | None = None
        self._store: packages.PackageStore | None = None
        self._closers = AsyncExitStack()
        self._engine = _Lazy("engine", lambda: openers.engine(settings), self._closers)
        self._targets = _Lazy("connections to receivers", lambda: openers.targets(settings), self._closers)
        self._outbox = _Lazy("outbox", lambda: self._open_outbox(openers), self._closers)

    @property
    def open_names(self) -> list[str]:
        """The names of the clients that are open."""
        clients: tuple[_Lazy[Any], ...] = (self._engine, self._targets, self._outbox)
        return [client.name for client in clients if client.is_open]

    async def contract(self) -> "contract.NodeContract":
        """Return the node's own contract.yaml, read once."""
        if self._contract is None:
            await load(contract)
            self._contract = await run_in_thread(contract.load_contract)
        return self._contract

    async def store(self) -> "packages.PackageStore":
        """Return the package store; it makes its folder when the first package begins.

        Raises:
            InvalidInputError: There is no folder for it.
        """
        await load(packages)
        if self._store is None:
            self._store = packages.PackageStore(self.settings.package_folder)
        return self._store

    async def engine(self) -> ContainerEngine:
        """Return the Docker Engine.

        Raises:
            EngineUnavailableError: It does not respond.
        """
        return await self._engine.get()

    async def targets(self) -> DeployTargets:
        """Return the receivers that packages are sent to.

        Raises:
            InvalidInputError: The files for TLS cannot be used.
        """
        return await self._targets.get()

    async def outbox(self) -> "outbox_publisher.OutboxPublisher":
        """Return the outbox, which also delivers to the broker if one is set.

        Raises:
            InvalidInputError: There is no folder for it.
            PublishError: It cannot be opened.
        """
        return await self._outbox.get()

    async def _open_outbox(self, openers: Openers) -> "outbox_publisher.OutboxPublisher":
        await load(outbox_publisher)
        await load(outbox_thread)
        settings = self.settings
        open_publisher = (lambda: openers.publisher(settings)) if settings.kafka_bootstrap_servers else None
        return outbox_publisher.OutboxPublisher(
            outbox_thread.OutboxThread(settings.package_folder / "outbox.sqlite3"), open_publisher
        )

    async def close(self) -> None:
        """Close what is open, newest first; a second call does nothing, and the next use opens again."""
        await self._closers.aclose()
