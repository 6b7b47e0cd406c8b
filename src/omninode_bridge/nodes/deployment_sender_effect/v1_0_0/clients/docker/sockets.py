"""Sockets to an engine; a call can be aborted while it connects, too."""

import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .call import Call

__all__ = ["BufferedSocket", "EngineSocket", "open_tcp", "open_tls", "open_unix"]

# How soon an abort is noticed while a name is resolved or a connection is made.
_POLL_SECONDS = 0.1
# A long build is silent; without this a dead peer is not noticed before the deadline. The docker command has 30 s, too.
_KEEPALIVE_IDLE_SECONDS = 30

# 1 MiB. An engine sends an export in chunks of 32 KB, and http.client would read 8 KB at a time: 1.5 GB/s, with 1 MiB
# at a time 2.2 GB/s.
_READ_BYTES = 1 << 20

_Address = tuple[Any, ...]
_Resolved = list[tuple[int, int, int, str, _Address]]


class BufferedSocket(socket.socket):
    """A socket whose files have a large buffer; http.client reads responses from such a file."""

    def makefile(self, mode: Any = "r", buffering: int | None = None, **how: Any) -> Any:
        """Make a file, with a buffer of 1 MiB if no size is given."""
        return super().makefile(mode, _READ_BYTES if buffering is None else buffering, **how)


@dataclass(frozen=True, slots=True)
class EngineSocket:
    """A socket that is connected to an engine.

    Attributes:
        sock: The socket.
        explain: Given the exception of a failed read or write; returns one that names the reason, where it is known.
    """

    sock: socket.socket
    explain: Callable[[Exception], Exception] = lambda exc: exc


def open_unix(call: Call, path: str, seconds: float) -> socket.socket:
    """Connect to a socket's path; an engine whose queue is full refuses at once.

    Raises:
        OSError: No program listens there.
    """
    sock = BufferedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(path)
        call.register(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def open_tcp(
    call: Call, host: str, port: int, seconds: float, resolve: Callable[..., Any] = socket.getaddrinfo
) -> socket.socket:
    """Connect to the first address of a host that accepts; an abort is noticed within 0.1 s.

    Args:
        call: Aborts the connection, also while it is made.
        host: A name or an address.
        port: TCP.
        seconds: For each address; stays as the socket's time-out.
        resolve: As `socket.getaddrinfo`.

    Raises:
        OSError: No address accepts.
    """
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _resolve(call, resolve, host, port):
        sock = BufferedSocket(family, kind, protocol)
        try:
            _connect(call, sock, address, seconds)
            call.register(sock)
        except OSError as exc:
            sock.close()
            failure = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def open_tls(call: Call, host: str, port: int, seconds: float, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect as `open_tcp` does and do the TLS handshake.

    Raises:
        OSError: No address accepts, or the handshake fails.
    """
    sock = open_tcp(call, host, port, seconds)
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _resolve(call: Call, resolve: Callable[..., Any], host: str, port: int) -> _Resolved:
    """Resolve a name in a thread that may be left behind: the system's resolver cannot be interrupted."""
    results: queue.SimpleQueue[_Resolved | Exception] = queue.SimpleQueue()

    def resolve_in_thread() -> None:
        try:
            results.put(resolve(host, port, type=socket.SOCK_STREAM))
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            results.put(exc)

    threading.Thread(target=resolve_in_thread, name="docker-engine-resolver", daemon=True).start()
    while True:
        call.raise_if_aborted()
        try:
            result = results.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(result, UnicodeError):
            raise OSError(f"{host} is not a host name") from result
        if isinstance(result, Exception):
            raise result
        return result


def _connect(call: Call, sock: socket.socket, address: _Address, seconds: float) -> None:
    sock.settimeout(0)
    sock.connect_ex(address)
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    deadline = time.monotonic() + seconds
    while not poller.poll(_POLL_SECONDS * 1000):
        call.raise_if_aborted()
        if time.monotonic() > deadline:
            raise TimeoutError
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    sock.settimeout(seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_SECONDS)
