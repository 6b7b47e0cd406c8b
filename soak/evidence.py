"""What a run has seen and what it left: all that the verdicts are made of."""

from dataclasses import dataclass, field

from support.kafka.broker import BrokerRecord

__all__ = ["Deployed", "Evidence", "Published"]


@dataclass
class Published:
    """An event and the result of publishing it.

    Attributes:
        key: The Kafka key.
        accepted: It was acknowledged by the broker or waited in the outbox.
        acknowledged: The broker had it when the node returned.
    """

    event_id: str
    key: str
    accepted: bool
    acknowledged: bool
    duration_ms: float


@dataclass
class Deployed:
    """One deployment.

    Attributes:
        cut: Whether its first attempt was to be cut.
        failures: What went wrong, as the node reported it.
        checksum: BLAKE3, as the node returned it.
        seconds: From the first event to the last.
    """

    number: int
    cut: bool
    failures: list[str] = field(default_factory=list)
    package_id: str = ""
    checksum: str = ""
    size_bytes: int = 0
    build_ms: float | None = None
    export_ms: float | None = None
    transfer_ms: float | None = None
    attempts: int = 0
    seconds: float = 0


@dataclass
class Evidence:
    """One run.

    Attributes:
        events: In the order in which the node returned; those of one key one after the other.
        restarts: How often the broker was killed and started again.
        flushed: Events that still waited when all was done, and were delivered then.
        metrics: The node's.
        receiver_metrics: The receiver's counters, without their prefix.
        outbox: How many events are in each state, at the end.
        received: BLAKE3 of the file in the receiver's store, by package.
        records: All that is in the broker.
        leaks: What the process had not before the node was made.
        left_files: What is neither a package nor the outbox, on both sides.
        sender_peak_bytes: Resident memory (VmHWM, proc(5)).
        receiver_peak_bytes: Likewise.
    """

    seed: int
    concurrency: int
    deployed: list[Deployed] = field(default_factory=list)
    events: list[Published] = field(default_factory=list)
    seconds: float = 0
    restarts: int = 0
    flushed: int = 0
    metrics: dict[str, int | float | None] = field(default_factory=dict)
    receiver_metrics: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, int] = field(default_factory=dict)
    received: dict[str, str] = field(default_factory=dict)
    records: list[BrokerRecord] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    left_files: list[str] = field(default_factory=list)
    sender_peak_bytes: int = 0
    receiver_peak_bytes: int = 0
