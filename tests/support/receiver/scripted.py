"""A receiver over real TCP that responds, stalls and breaks by a script, and records the requests."""

import asyncio
import contextlib
import email.parser
import email.policy
import json
import socket
import ssl
import struct
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import TracebackType
from typing import Literal, Self

__all__ = ["Heard", "Reply", "ScriptedReceiver", "receipt"]


@dataclass(frozen=True)
class Reply:
    """What to do with a request.

    Attributes:
        body: JSON if it is a dict.
        raw: Sent instead of a well-formed response.
        read_bytes: Bytes of the request's body to read before the response; all of them if None.
        before: Bytes sent before the body is read, such as an informational response.
        delay_seconds: How long to wait before the response.
        byte_seconds: How long to wait after each byte of the response.
        end: `close` after the response, `reset` the connection, or `stall`: keep it open and silent.
    """

    status: int = 200
    body: dict[str, object] | bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    read_bytes: int | None = None
    before: bytes = b""
    delay_seconds: float = 0
    byte_seconds: float = 0
    end: Literal["close", "reset", "stall"] = "close"

    def encoded(self) -> bytes:
        """Return the response's bytes."""
        if self.raw is not None:
            return self.raw
        headers = {"Content-Type": "application/json" if isinstance(self.body, dict) else "text/plain"} | self.headers
        text = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        body = text.encode() if isinstance(text, str) else text
        headers = {"Content-Length": str(len(body)), "Connection": "close"} | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Scripted\r\n{head}\r\n".encode("latin-1") + body


def receipt(**changes: object) -> Reply:
    """Return the reply of a receiver that has accepted the package."""
    return Reply(body={"deployment_id": "d-1", "checksum_verified": True} | changes)


@dataclass
class Heard:
    """A request as it arrived; `body` grows while it is read."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)

    @property
    def is_whole(self) -> bool:
        """Whether the whole body has arrived."""
        return len(self.body) == int(self.headers.get("content-length", "0"))

    def parts(self) -> list[EmailMessage]:
        """The parts of a multipart body, read by Python's own email parser."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + bytes(self.body))
        return [part for part in message.iter_parts() if isinstance(part, EmailMessage)]

    def form(self) -> dict[str, bytes]:
        """The parts' contents by name, the file's among them."""
        return {_name(part): _content(part) for part in self.parts()}


def _name(part: EmailMessage) -> str:
    return str(part.get_param("name", header="content-disposition"))


def _content(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


class ScriptedReceiver:
    """Serves the replies one after the other, the last one again and again.

    Args:
        replies: At least one.
        tls: Serve https with it.

    Attributes:
        heard: Every request so far.
        connections: How many connections were made.
    """

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self._replies = list(replies)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard: list[Heard] = []
        self.connections = 0

    @property
    def port(self) -> int:
        """The TCP port."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def idle(self) -> bool:
        """Whether every connection has ended."""
        return not self._tasks

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                await self._respond(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.strip().split("\r\n")
        method, target, _ = start.split(" ")
        heard = Heard(method, target, {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)})
        self.heard.append(heard)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        writer.write(reply.before)
        await _read_body(reader, heard, reply.read_bytes)
        await asyncio.sleep(reply.delay_seconds)
        await _write_reply(writer, reply)
        if reply.end == "stall":
            await asyncio.Event().wait()
        if reply.end == "reset":
            _reset(writer)


async def _read_body(reader: asyncio.StreamReader, heard: Heard, at_most: int | None) -> None:
    length = int(heard.headers.get("content-length", "0"))
    wanted = length if at_most is None else min(length, at_most)
    while len(heard.body) < wanted:
        piece = await reader.read(min(65_536, wanted - len(heard.body)))
        if not piece:
            raise asyncio.IncompleteReadError(bytes(heard.body), wanted)
        heard.body += piece


async def _write_reply(writer: asyncio.StreamWriter, reply: Reply) -> None:
    encoded = reply.encoded()
    pieces = [encoded] if not reply.byte_seconds else [bytes([byte]) for byte in encoded]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(reply.byte_seconds)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST instead of a FIN: SO_LINGER with no time (socket(7))."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
