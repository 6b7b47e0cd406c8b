"""Runs a receiver inside a running event loop: opens its store, threads, engine and HTTP server, and closes them."""

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
from ..concurrency import ThreadPool, run_in_thread
from ..errors import InvalidInputError, ReceiverUnreachableError, StorageError
from ..ports import ContainerEngine
from ..protocol.tls import server_context
from ..protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION
from ..settings import ReceiverSettings
from ..store.documents import private_file
from ..store.files import disk_errors
from ..store.staging import make_folder
from .deployments.container_watcher import ContainerWatcher
from .deployments.deployer import Deployer
from .deployments.duplicates import DuplicateUploads
from .deployments.image_watcher import ImageWatcher
from .deployments.packages import Packages
from .deployments.records import Deployments
from .engine import SharedEngine
from .http.app import make_app
from .http.auth import RequestAuthenticator
from .http.connection import bounded_protocol
from .http.host_names import HostNames
from .http.info import ReceiverInfoPage
from .http.listener import Listener
from .http.request_guard import RequestGuard
from .http.upload import Uploads
from .limits import CHECKS_AT_ONCE, CONNECTIONS_MAX, LOADS_AT_ONCE, SHUTDOWN_SECONDS
from .state import ReceiverState

__all__ = ["ListenError", "serving"]


class ListenError(ReceiverUnreachableError):
    """The receiver cannot listen on its address."""


class _Server(uvicorn.Server):
    """Leaves signals to the program that runs the event loop, and sets `ready` when it has started."""

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
    """Serve while the body runs; the context manager's value is the receiver's URL.

    Args:
        settings: The address, the folders and the limits.
        open_engine: Opens the engine that loads the images; the one of the settings if not given.
        shutdown_seconds: How long uploads that have begun may go on when the body has ended.

    Raises:
        InvalidInputError: It would listen beyond loopback without a signing key, or the files for TLS cannot be used.
        StorageError: The store cannot be used.
        ListenError: The address cannot be used.
    """

    async def open_own_engine() -> ContainerEngine:
        return await _open_engine(settings)

    context = await run_in_thread(_tls_context, settings)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(await _listen(settings))
        app = await stack.enter_async_context(_application(settings, open_engine or open_own_engine))
        server = _http_server(app, listener, context, settings.idle_timeout_seconds, shutdown_seconds)
        await stack.enter_async_context(server)
        host, port = listener.getsockname()[:2]
        where = f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
        yield f"http://{where}" if context is None else f"https://{where}"


def _tls_context(settings: ReceiverSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    return server_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


@contextlib.asynccontextmanager
async def _http_server(
    app: ASGIApp,
    listener: Listener,
    context: ssl.SSLContext | None,
    idle_timeout_seconds: float,
    shutdown_seconds: float,
) -> AsyncIterator[None]:
    # The parser would log what the response reports anyway.
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
        headers=[(PROTOCOL_HEADER, str(PROTOCOL_VERSION))],
        timeout_graceful_shutdown=shutdown_seconds,  # type: ignore[arg-type] # asyncio.wait_for takes it as it is
    )
    await run_in_thread(config.load)  # imports what it needs, for a tenth of a second
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
            # They are cancelled by now; each still removes its file.
            await asyncio.wait(left)


@contextlib.asynccontextmanager
async def _application(
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
        authenticator = await RequestAuthenticator.open(
            settings.signing_keys, settings.store_folder / "nonces.sqlite3", workers, names=names
        )
        stack.push_async_callback(authenticator.close)
        state = ReceiverState(settings, workers, deployments)
        packages = Packages(state)
        engine = SharedEngine(open_engine)
        stack.push_async_callback(engine.close)
        images = Deployer(state, packages, engine)
        stack.push_async_callback(images.close)
        images.start()
        container_watcher = ContainerWatcher(state, images.services, engine.available)
        stack.push_async_callback(container_watcher.close)
        container_watcher.start()
        image_watcher = ImageWatcher(state, engine)
        stack.push_async_callback(image_watcher.close)
        image_watcher.start()
        uploads = Uploads(state, authenticator, packages, images, DuplicateUploads(state, images, engine))
        yield RequestGuard(
            make_app(state, authenticator, uploads, await ReceiverInfoPage.open(state, engine)),
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
        raise StorageError(
            f"another receiver uses the store {store}",
            recovery="Stop that one, or give this one another folder with --store.",
        ) from exc
    return lock


async def _listen(settings: ReceiverSettings) -> Listener:
    host, port = settings.host, settings.port
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        _check_guarded(settings, str(address[0]))
        listener = Listener(family, CONNECTIONS_MAX)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(CONNECTIONS_MAX)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise ListenError(
            f"cannot listen on {host}:{port}: {exc.strerror}",
            recovery="Choose another --host or --port, or stop the program that listens there.",
        ) from exc
    return listener


def _check_guarded(settings: ReceiverSettings, address: str) -> None:
    if settings.signing_keys or ipaddress.ip_address(address).is_loopback:
        return
    raise InvalidInputError(
        f"without a signing key the receiver listens on loopback only, and {settings.host} is not a loopback address",
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
