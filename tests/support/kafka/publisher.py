"""A broker in memory: the port `EventPublisher`, with faults by script; tests/conformance compares it with Kafka."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually

T = TypeVar("T")

MAX_REQUEST_BYTES = 1 << 20
"""1 MiB, as aiokafka's default `max_request_size`."""


class Fault(Enum):
    """The fault of one publish."""

    REFUSED = auto()  # not stored, and may be tried again
    LOST_RESPONSE = auto()  # stored, and reported as an error
    NEVER = auto()  # not stored, and trying again will not help
    HANGS = auto()  # no response, until it is cancelled
    BUG = auto()  # an exception that the port does not allow


@dataclass(frozen=True)
class Record:
    """An event as the broker stored it."""

    topic: str
    key: str
    value: bytes
    offset: int


def unreachable() -> PublishError:
    """The error for a broker that does not respond."""
    return PublishError("the broker does not respond")


@dataclass
class FakeBroker:
    """One partition; `open` connects.

    Attributes:
        down: Connecting fails.
        stuck: Connecting hangs until it is cancelled.
        faults: By key, the faults of its next publishes, in order.
        records: The stored events, in order.
        opened: How often a client tried to connect.
        publishers: Every open or closed connection.
        timeout_seconds: Bounds connecting and publishing; None if a test's broker may hang until it is cancelled.
        pause: How long a publish takes, in seconds.
        gate: Publishes wait before it; open until a test clears it.
        under_way: Publishes that are under way.
        busiest: The most publishes that one connection had under way at once.
    """

    down: bool = False
    stuck: bool = False
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    opened: int = 0
    publishers: list["FakePublisher"] = field(default_factory=list)
    pause: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    busiest: int = 0
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def busy(self, count: int = 1) -> None:
        """Wait until so many publishes are under way; the test's own time-out bounds it."""
        await eventually(lambda: self.under_way >= count)

    async def connecting(self) -> None:
        """Wait until a client tries to connect."""
        await eventually(lambda: self.opened)

    def script(self, key: str, *faults: Fault) -> None:
        """Let the next publishes of a key go wrong."""
        self.faults[key] = deque(faults)

    @property
    def values(self) -> list[bytes]:
        """The stored values, in order."""
        return [record.value for record in self.records]

    async def open(self) -> "FakePublisher":
        """Connect."""
        self.opened += 1
        await asyncio.sleep(0)
        if self.stuck:
            await self.within_deadline(asyncio.Event().wait())
        if self.down:
            raise unreachable()
        self.publishers.append(FakePublisher(self))
        return self.publishers[-1]

    async def within_deadline(self, work: Awaitable[T]) -> T:
        """Await work; raise the port's error at the deadline."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await work
        except TimeoutError:
            raise unreachable() from None


class FakePublisher:
    """One connection to a `FakeBroker`."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._under_way = 0
        self.closed = False

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Do what the script says, or store the event."""
        broker = self._broker
        if self.closed:
            raise PublishError("the connection is closed")
        if len(key) + len(value) > MAX_REQUEST_BYTES:
            raise PublishError("too large", retry=False)
        self._under_way += 1
        broker.under_way += 1
        broker.busiest = max(broker.busiest, self._under_way)
        try:
            return await broker.within_deadline(self._store_in_turn(topic, key.decode(), value))
        finally:
            self._under_way -= 1
            broker.under_way -= 1

    async def _store_in_turn(self, topic: str, key: str, value: bytes) -> Delivery:
        await self._broker.gate.wait()
        await asyncio.sleep(self._broker.pause)
        return await self._store(topic, key, value)

    async def _store(self, topic: str, key: str, value: bytes) -> Delivery:
        broker = self._broker
        faults = broker.faults.get(key)
        fault = faults.popleft() if faults else None
        if fault is Fault.HANGS:
            await asyncio.Event().wait()
        if fault is Fault.BUG:
            raise LookupError("the publisher broke its port")
        if fault is Fault.NEVER:
            raise PublishError("too large", retry=False)
        if broker.down or fault is Fault.REFUSED:
            raise unreachable()
        record = Record(topic, key, value, len(broker.records))
        broker.records.append(record)
        if fault is Fault.LOST_RESPONSE:
            raise unreachable()
        return Delivery(0, record.offset)

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.sleep(0)
        self.closed = True
