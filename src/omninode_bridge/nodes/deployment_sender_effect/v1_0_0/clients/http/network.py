"""The sockets under httpcore: they check for a response while they send, so that an early one is never lost.

A receiver that responds 413 and closes before it has read the package resets the connection. asyncio's transports
close their socket at the first failed write, and the response that is already in it is lost. These streams work on the
bare socket: they check for a response before every write and while they wait until they can write, and after a reset
they still read what has arrived (on Linux a reset leaves the receive queue as it is). httpcore does the rest: after a
`WriteError` it reads the response.

The idle time-out counts from the last byte that moved, not from the start of a chunk. The kernel keeps at most 1 MiB
that is not sent yet (TCP_NOTSENT_LOWAT, tcp(7)): with the usual 4 MiB, a slow line would still send long after the
last write, and appear idle.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import httpcore

from ...concurrency import start_in_thread
from .address_policy import AddressPolicy, Found

__all__ = ["ListeningBackend"]

_SLICE_BYTES = 1 << 19  # 512 KiB: encrypting that much holds the event loop for less than a millisecond
_RECEIVE_BYTES = 1 << 16  # 64 KiB, more than any response of a receiver has
_UNSENT_BYTES = 1 << 20  # 1 MiB, one chunk of the body
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1", re.ASCII)
_NOT_YET_READABLE = (BlockingIOError, ssl.SSLWantReadError)
_NOT_YET_WRITABLE = (BlockingIOError, ssl.SSLWantWriteError)


class ListeningBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections as `_Stream`s.

    Args:
        policy: Which addresses may be connected to.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name and connect to the first of its addresses that accepts.

        Args:
            host: Name or address.
            port: TCP port.
            timeout: Seconds for the name, and again for all of the addresses, in equal shares.
            local_address: Not used here.
            socket_options: Not used here.

        Raises:
            httpcore.ConnectError: Holds the `OSError` of the last address.
            httpcore.ConnectTimeout: No address accepted in time.
            ReceiverUnreachableError: The policy allows none of them.
        """
        try:
            async with asyncio.timeout(timeout):
                found = await _resolve_in_thread(host, port)
            return await _connect_any(self._policy.allowed_addresses(host, found), timeout)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(exc) from exc
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(exc) from exc


async def _resolve_in_thread(host: str, port: int) -> Sequence[Found]:
    """Resolve a name in a thread of its own, which a cancellation leaves running.

    Nothing can interrupt the resolver, and `asyncio.run` waits for the threads of the loop's own executor.
    """
    return await start_in_thread(partial(_resolve, host, port), "receiver-resolver")


def _resolve(host: str, port: int) -> Sequence[Found]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        if not host.endswith("."):
            raise
        # /etc/hosts knows no name with the root's dot, not even `localhost.`.
        return socket.getaddrinfo(host.removesuffix("."), port, type=socket.SOCK_STREAM)


async def _connect_any(found: Sequence[Found], seconds: float | None) -> "_Stream":
    failed: OSError | None = None
    for family, kind, protocol, _, address in found:
        try:
            async with asyncio.timeout(None if seconds is None else seconds / len(found)):
                return await _connect(family, kind, protocol, address)
        except OSError as exc:
            failed = exc
    raise failed or OSError("the name has no address")


async def _connect(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[Any, ...]
) -> "_Stream":
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return _Stream(connection)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection, plain or TLS; used by one task at a time, closed by any."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._early = b""
        self._broken: OSError | None = None
        self._may_respond_early = True
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the bytes that have arrived, at least one; none at the end of the stream."""
        if self._early:
            early, self._early = self._early[:max_bytes], self._early[max_bytes:]
            return early
        if self._broken:  # OpenSSL reports the reason only once
            raise httpcore.ReadError(self._broken)
        while True:
            try:
                return self._socket.recv(max_bytes)
            except _NOT_YET_READABLE:
                await self._ready(timeout, httpcore.ReadTimeout, read=True)
            except OSError as exc:
                raise httpcore.ReadError(exc) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything, or raise `WriteError` if the other side has responded or closed before that."""
        left = memoryview(buffer)
        while left:
            self._receive_early()
            try:
                left = left[self._socket.send(left[:_SLICE_BYTES]) :]
            except _NOT_YET_WRITABLE:
                await self._ready(timeout, httpcore.WriteTimeout, read=self._may_respond_early, write=True)
            except OSError as exc:
                raise httpcore.WriteError(exc) from exc

    def _receive_early(self) -> None:
        """Raise `WriteError` if the response has begun to arrive; a 1xx (RFC 9110 section 15.2) is not one yet."""
        if not self._may_respond_early:
            return
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except (*_NOT_YET_READABLE, ssl.SSLWantWriteError):
            return
        except OSError as exc:
            self._broken = exc
            raise httpcore.WriteError(exc) from exc
        self._early += data
        if not _INFORMATIONAL.match(self._early):
            raise httpcore.WriteError("the response arrived first")
        self._may_respond_early = False

    async def aclose(self) -> None:
        """Close at once; a task that waits for this stream gets an error."""
        if self._waiter is not None and not self._waiter.done():
            self._stop_watching()
            self._waiter.set_exception(httpcore.ReadError("it was closed on this side"))
        self._socket.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Continue with TLS on this connection.

        Raises:
            httpcore.ConnectError: Holds the `ssl.SSLError`, or the `OSError` that ended the connection.
            httpcore.ConnectTimeout: The other side did not finish in time.
        """
        try:
            secured = ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            stream = _Stream(secured)
        except OSError as exc:
            raise httpcore.ConnectError(exc) from exc
        try:
            await stream._handshake(secured, timeout)
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _handshake(self, secured: ssl.SSLSocket, seconds: float | None) -> None:
        while True:
            try:
                return secured.do_handshake()
            except ssl.SSLWantReadError:
                await self._ready(seconds, httpcore.ConnectTimeout, read=True)
            except ssl.SSLWantWriteError:
                await self._ready(seconds, httpcore.ConnectTimeout, write=True)
            except OSError as exc:
                raise httpcore.ConnectError(exc) from exc

    async def _ready(
        self, seconds: float | None, time_out: type[Exception], *, read: bool = False, write: bool = False
    ) -> None:
        """Wait until the socket can be read or written, whichever is requested and comes first."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        if read:
            loop.add_reader(self._socket, _wake, waiter)
        if write:
            loop.add_writer(self._socket, _wake, waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError as exc:
            raise time_out(exc) from exc
        finally:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._socket.fileno() >= 0:  # a closed one is not watched, and its number may be in use again
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
