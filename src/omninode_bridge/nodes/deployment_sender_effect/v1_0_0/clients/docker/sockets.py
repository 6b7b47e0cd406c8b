"""Sockets to an engine; making one can be broken off."""

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

__all__ = ["Link", "WideSocket", "open_tcp", "open_tls", "open_unix"]

_POLL_SECONDS = 0.1
# A long build is silent; without this a dead peer is not noticed before the deadline. The docker command has 30 s, too.
_KEEPALIVE_IDLE_SECONDS = 30

# An engine sends an export in chunks of 32 KB, and http.client reads 8 KB at a time: 1.5 GB/s instead of 2.2.
_READ_BYTES = 1 << 20

_Address = tuple[Any, ...]
_Found = list[tuple[int, int, int, str, _Address]]


class WideSocket(socket.socket):
    """Is read in large pieces by whoever makes a file of it, as http.client does."""

    def makefile(self, mode: Any = "r", buffering: int | None = None, **how: Any) -> Any:
        """Make a file, with a buffer of 1 MiB if none is asked for."""
        return super().makefile(mode, _READ_BYTES if buffering is None else buffering, **how)


@dataclass(frozen=True, slots=True)
class Link:
    """A connection to an engine.

    Attributes:
        sock: Its socket.
        failure: Given the exception that it has failed with; returns the one that says why.
    """

    sock: socket.socket
    failure: Callable[[Exception], Exception] = lambda exc: exc


def open_unix(call: Call, path: str, seconds: float) -> socket.socket:
    """Connect to a socket's path; an engine whose queue is full refuses at once.

    Raises:
        OSError: Nobody listens there.
    """
    sock = WideSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(path)
        call.adopt(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def open_tcp(
    call: Call, host: str, port: int, seconds: float, resolve: Callable[..., Any] = socket.getaddrinfo
) -> socket.socket:
    """Connect to the first address of a host that lets us; an abort is noticed within 0.1 s.

    Args:
        call: Asked whether to go on, and handed the socket.
        host: A name or an address.
        port: TCP.
        seconds: For each address; stays as the socket's time-out.
        resolve: As `socket.getaddrinfo`.

    Raises:
        OSError: No address lets us.
    """
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _resolved(call, resolve, host, port):
        sock = WideSocket(family, kind, protocol)
        try:
            _connect(call, sock, address, seconds)
            call.adopt(sock)
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
    """Connect as `open_tcp` does and speak TLS.

    Raises:
        OSError: No address lets us, or the handshake fails.
    """
    sock = open_tcp(call, host, port, seconds)
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _resolved(call: Call, resolve: Callable[..., Any], host: str, port: int) -> _Found:
    """Ask the resolver in a thread that may be left behind: nothing can interrupt it."""
    answers: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port, type=socket.SOCK_STREAM))
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            answers.put(exc)

    threading.Thread(target=ask, name="docker-engine-resolver", daemon=True).start()
    while True:
        call.check()
        try:
            answer = answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(answer, UnicodeError):
            raise OSError(f"{host} is no host name") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def _connect(call: Call, sock: socket.socket, address: _Address, seconds: float) -> None:
    sock.settimeout(0)
    sock.connect_ex(address)
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    deadline = time.monotonic() + seconds
    while not poller.poll(_POLL_SECONDS * 1000):
        call.check()
        if time.monotonic() > deadline:
            raise TimeoutError
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    sock.settimeout(seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_SECONDS)
