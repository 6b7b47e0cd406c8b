"""Runs a receiver inside a running event loop: store, threads, background work and HTTP server, in and out again."""

import asyncio
import contextlib
import fcntl
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ..clients.docker import open_engine as open_docker_engine
from ..concurrency import ThreadPool
from ..errors import DeploymentSenderError, ErrorCode
from ..ports import ContainerEngine
from ..protocol.tls import server_context
from ..settings import ReceiverSettings
from ..store.documents import private_file
from ..store.files import disk_errors
from ..store.staging import make_folder
from .deployments.deployer import Deployer
from .deployments.packages import Packages
from .deployments.reconciling import Reconciler
from .deployments.records import Deployments
from .deployments.repeats import Repeats
from .deployments.watching import Watching
from .engine import Engine
from .http.app import make_app
from .http.auth import RequestAuthenticator
from .http.connection import bounded_protocol
from .http.doorway import Doorway
from .http.host_names import HostNames
from .http.info import ReceiverInfoPage
from .http.listener import Listener
from .http.upload import Uploads
from .limits import CHECKS_AT_ONCE, CONNECTIONS_MAX, LOADS_AT_ONCE, SHUTDOWN_SECONDS
from .state import ReceiverState

__all__ = ["serving"]


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the event loop, and tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextlib.asynccontextmanager
async def serving(
    settings: ReceiverSettings,
    open_engine: Callable[[], Awaitable[ContainerEngine]] | None = None,
    *,
    shutdown_seconds: float = SHUTDOWN_SECONDS,
) -> AsyncIterator[str]:
    """Serve while the body runs; answer the receiver's URL.

    Args:
        settings: Where to listen, what to keep where, and the limits.
        open_engine: Opens the engine that loads the images; the settings' own if not given.
        shutdown_seconds: How long uploads that are under way may go on at the end.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`: it would listen beyond loopback without a signing key, or the files
            for TLS cannot be used. `BUILD_FAILED`: the store cannot be used. `REMOTE_UNREACHABLE`: the address cannot
            be listened on.
    """

    async def open_own_engine() -> ContainerEngine:
        return await _open_engine(settings)

    context = await asyncio.to_thread(_tls, settings)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(await _listen(settings))
        app = await stack.enter_async_context(_receiver(settings, open_engine or open_own_engine))
        server = _served(app, listener, context, settings.idle_timeout_seconds, shutdown_seconds)
        await stack.enter_async_context(server)
        host, port = listener.getsockname()[:2]
        where = f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
        yield f"http://{where}" if context is None else f"https://{where}"


def _tls(settings: ReceiverSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    return server_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


@contextlib.asynccontextmanager
async def _served(
    app: ASGIApp,
    listener: Listener,
    context: ssl.SSLContext | None,
    idle_timeout_seconds: float,
    shutdown_seconds: float,
) -> AsyncIterator[None]:
    # The parser tells the log what the client is told anyway.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(idle_timeout_seconds, listener),
        backlog=CONNECTIONS_MAX,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=shutdown_seconds,  # type: ignore[arg-type] # asyncio.wait_for takes it as it is
    )
    await asyncio.to_thread(config.load)  # imports what it needs, for a tenth of a second
    config.ssl = context
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]), name="deployment receiver")
    try:
        await server.ready.wait()
        yield
    finally:
        server.should_exit = True
        await task
        if left := server.server_state.tasks:
            # Cancelled by now; each still has a file to remove.
            await asyncio.wait(left)


@contextlib.asynccontextmanager
async def _receiver(
    settings: ReceiverSettings, open_engine: Callable[[], Awaitable[ContainerEngine]]
) -> AsyncIterator[ASGIApp]:
    async with contextlib.AsyncExitStack() as stack:
        workers = ThreadPool(settings.max_concurrent_uploads + CHECKS_AT_ONCE + LOADS_AT_ONCE)
        stack.push_async_callback(workers.close)
        lock = await workers.run(_lock, settings.store_folder)
        stack.callback(os.close, lock)
        deployments = Deployments(settings.store_folder, workers)
        await deployments.open()
        names = HostNames.of(settings)
        gate = await RequestAuthenticator.open(
            settings.signing_keys, settings.store_folder / "nonces.sqlite3", workers, names=names
        )
        stack.push_async_callback(gate.close)
        shared = ReceiverState(settings, workers, deployments)
        packages = Packages(shared)
        engine = Engine(open_engine)
        stack.push_async_callback(engine.close)
        images = Deployer(shared, packages, engine)
        stack.push_async_callback(images.close)
        images.start()
        watching = Watching(shared, images.services, engine.answering)
        stack.push_async_callback(watching.close)
        watching.start()
        reconciler = Reconciler(shared, images.services, engine)
        stack.push_async_callback(reconciler.close)
        reconciler.start()
        uploads = Uploads(shared, gate, packages, images, Repeats(shared, images, reconciler))
        yield Doorway(
            make_app(shared, gate, uploads, await ReceiverInfoPage.read(shared, engine)),
            names,
            has_keys=bool(settings.signing_keys),
            idle_timeout_seconds=settings.idle_timeout_seconds,
        )


def _lock(store: Path) -> int:
    with disk_errors("use", store):
        make_folder(store)
        lock = private_file(store / "lock", os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"another receiver uses the store {store}",
            recovery="Stop that one, or give this one a store of its own with --store.",
        ) from exc
    return lock


async def _listen(settings: ReceiverSettings) -> Listener:
    host, port = settings.host, settings.port
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        _must_be_guarded(settings, str(address[0]))
        listener = Listener(family, CONNECTIONS_MAX)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(CONNECTIONS_MAX)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise DeploymentSenderError(
            ErrorCode.REMOTE_UNREACHABLE,
            f"cannot listen on {host}:{port}: {exc.strerror}",
            recovery="Choose another --host or --port, or stop what listens there.",
        ) from exc
    return listener


def _must_be_guarded(settings: ReceiverSettings, address: str) -> None:
    if settings.signing_keys or ipaddress.ip_address(address).is_loopback:
        return
    raise DeploymentSenderError(
        ErrorCode.VALIDATION_ERROR,
        f"without a signing key the receiver listens on loopback only, and {settings.host} is not that",
        recovery="Make a key with `deployment-receiver keygen` and set DEPLOYMENT_RECEIVER_SIGNING_KEYS to it.",
    )


async def _open_engine(settings: ReceiverSettings) -> ContainerEngine:
    return await open_docker_engine(
        docker_host=settings.docker_host,
        tls_verify=settings.docker_tls_verify,
        cert_path=settings.docker_cert_path,
        config_path=settings.docker_config,
        load_timeout_seconds=settings.load_timeout_seconds,
    )
