"""A broker with just enough of Kafka's protocol to respond to a producer with any error."""

import asyncio
import struct
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from support.eventually import eventually

# Kinds of requests, and error codes: kafka.apache.org/protocol
PRODUCE, METADATA, API_VERSIONS = 0, 3, 18
_VERSIONS = {PRODUCE: 3, METADATA: 1, API_VERSIONS: 0}

UNKNOWN_TOPIC, TOO_LARGE, INVALID_TOPIC, BATCH_TOO_LARGE, NOT_AUTHORIZED = 3, 10, 17, 18, 29


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


@dataclass
class ScriptedKafka:
    """Listens on a loopback port for as long as its `async with` runs.

    Attributes:
        missing: Topics that do not exist; every other does.
        produce: Error codes of the next responses to an event; 0 afterwards.
        silent: Kinds of requests that get no response.
        silenced: The number of requests that got no response.
        produced: The number of events that arrived, whatever the response was.
        connections: The number of open connections.
    """

    missing: set[str] = field(default_factory=set)
    produce: deque[int] = field(default_factory=deque)
    silent: set[int] = field(default_factory=set)
    silenced: int = 0
    produced: int = 0
    connections: int = 0
    _port: int = 0
    _offset: int = 41
    _server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await eventually(lambda: not self.connections)  # clients close them

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(size)
                api, _, correlation = struct.unpack_from(">hhi", request)
                response = self._response(api, request)
                if api in self.silent:
                    self.silenced += 1
                else:
                    writer.write(struct.pack(">ii", len(response) + 4, correlation) + response)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    def _response(self, api: int, request: bytes) -> bytes:
        (client,) = struct.unpack_from(">h", request, 8)
        body = request[10 + client :]
        if api == API_VERSIONS:
            return struct.pack(">hi", 0, len(_VERSIONS)) + b"".join(
                struct.pack(">hhh", key, 0, version) for key, version in _VERSIONS.items()
            )
        return self._metadata(body) if api == METADATA else self._produce(body)

    def _metadata(self, body: bytes) -> bytes:
        """Version 1: one broker, which is the controller, and a partition 0 of each requested topic."""
        topics, place = [], 4
        for _ in range(max(0, struct.unpack_from(">i", body)[0])):
            (length,) = struct.unpack_from(">h", body, place)
            topics.append(body[place + 2 : place + 2 + length].decode())
            place += 2 + length
        response = struct.pack(">ii", 1, 7) + _string("127.0.0.1") + struct.pack(">ih", self._port, -1)
        response += struct.pack(">ii", 7, len(topics))
        partition = struct.pack(">hiiiiii", 0, 0, 7, 1, 7, 1, 7)
        for topic in topics:
            error = UNKNOWN_TOPIC if topic in self.missing else 0
            response += struct.pack(">h", error) + _string(topic) + b"\x00"
            response += struct.pack(">i", 0) if error else struct.pack(">i", 1) + partition
        return response

    def _produce(self, body: bytes) -> bytes:
        """Version 3: one topic with one partition, as a producer that waits for each event sends it."""
        self.produced += 1
        error = self.produce.popleft() if self.produce else 0
        (length,) = struct.unpack_from(">h", body, 12)
        topic = body[14 : 14 + length].decode()
        self._offset += 0 if error else 1
        response = struct.pack(">i", 1) + _string(topic)
        return response + struct.pack(">iihqqi", 1, 0, error, -1 if error else self._offset, -1, 0)
