"""A broker in memory: the port `EventPublisher`, with faults by script."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually


class Fault(Enum):
    """What goes wrong with one publish."""

    REFUSED = auto()  # not stored, and may be tried again
    LOST_ANSWER = auto()  # stored, and told as a failure
    NEVER = auto()  # not stored, and no other try will help
    HANGS = auto()  # no answer, until it is cancelled
    BUG = auto()  # an exception that the port does not know


@dataclass(frozen=True)
class Record:
    """What the broker stored."""

    topic: str
    key: str
    value: bytes
    offset: int


def unreachable() -> DeploymentSenderError:
    """What a broker that does not answer is told as."""
    return DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, "the broker does not answer")


@dataclass
class FakeBroker:
    """One partition; `open` is what a courier calls to connect.

    Attributes:
        down: Connecting fails.
        stuck: Connecting hangs until it is cancelled.
        faults: By key, what goes wrong with its next publishes, in order.
        records: What was stored, in order.
        opened: How often somebody tried to connect.
        publishers: Each that got through.
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

    def __post_init__(self) -> None:
        self.gate.set()

    async def busy(self, count: int = 1) -> None:
        """Wait until so many publishes are under way; the test's own time-out bounds it."""
        await eventually(lambda: self.under_way >= count)

    async def connecting(self) -> None:
        """Wait until somebody tries to connect."""
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
            await asyncio.Event().wait()
        if self.down:
            raise unreachable()
        self.publishers.append(FakePublisher(self))
        return self.publishers[-1]


class FakePublisher:
    """One connection to a `FakeBroker`."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._under_way = 0
        self.closed = False

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Do what the script says, or store the event."""
        broker = self._broker
        self._under_way += 1
        broker.under_way += 1
        broker.busiest = max(broker.busiest, self._under_way)
        try:
            await broker.gate.wait()
            await asyncio.sleep(broker.pause)
            return await self._store(topic, key.decode(), value)
        finally:
            self._under_way -= 1
            broker.under_way -= 1

    async def _store(self, topic: str, key: str, value: bytes) -> Delivery:
        broker = self._broker
        faults = broker.faults.get(key)
        fault = faults.popleft() if faults else None
        if fault is Fault.HANGS:
            await asyncio.Event().wait()
        if fault is Fault.BUG:
            raise LookupError("the publisher broke its port")
        if fault is Fault.NEVER:
            raise DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, "too large", retry=False)
        if broker.down or fault is Fault.REFUSED:
            raise unreachable()
        record = Record(topic, key, value, len(broker.records))
        broker.records.append(record)
        if fault is Fault.LOST_ANSWER:
            raise unreachable()
        return Delivery(0, record.offset)

    async def close(self) -> None:
        """Leave."""
        await asyncio.sleep(0)
        self.closed = True
