"""A real Kafka-protocol broker (noida-db) as a process of its own, and a consumer that reads everything back."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import noida_db  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from support.process.processes import until_stopped

_STARTS_IN_SECONDS = 120


@dataclass(frozen=True)
class BrokerRecord:
    """An event as a consumer reads it; `timestamp_ms` is the time of the producer, in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    timestamp_ms: int


def _binary() -> Path:
    binary = Path(str(noida_db.__file__)).parent / "noida-db"
    binary.chmod(binary.stat().st_mode | 0o111)  # the wheel forgets the run bit
    return binary


class KafkaBroker:
    """A broker that stores its data in `folder`; after a restart it has the same port and the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it listens and can be stopped."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [str(_binary()), "start", "--only", "kafka", "--host", "127.0.0.1"]
        command += ["--kafka-port", str(self._port), "--data-dir", str(self._folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._process = process
        # A broker that prints nothing is killed, which ends the reading.
        watch = threading.Timer(_STARTS_IN_SECONDS, process.kill)
        watch.start()
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.split()[:1] == ["kafka"]:
                self._port = int(line.split()[1].rpartition(":")[2])
            if line.startswith("press"):  # after the file by which `stop` finds it
                break
        else:
            process.wait()
            raise AssertionError(f"the broker did not start: {printed}")
        watch.cancel()
        watch.join()

    def stop(self) -> None:
        """Stop it with SIGTERM, as an operator does; its data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def save_and_kill(self) -> None:
        """Kill it, with all that it has acknowledged on the disk.

        noida-db 0.2.3 saves once a second, and on SIGTERM too acknowledges a few events that it does not save. With
        the command `stop` it closes every connection first and saves then.
        """
        command = [str(_binary()), "stop", "kafka", "--data-dir", str(self._folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=_STARTS_IN_SECONDS)
        self.kill()

    def freeze(self) -> None:
        """Stop it where it is: it responds no more, and its connections stay."""
        assert self._process is not None
        self._signal(signal.SIGSTOP)
        until_stopped(self._process.pid)

    def thaw(self) -> None:
        """Let its process continue."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.kill(process.pid, number)
        os.kill(process.pid, signal.SIGCONT)  # a frozen process receives no other signal
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    async def create_topics(self, names: Iterable[str], partitions: int = 3) -> None:
        """Create topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        finally:
            await admin.close()

    async def records(self, topics: Iterable[str]) -> list[BrokerRecord]:
        """Read everything back, without a group; in order within each partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(name, n) for name in topics for n in consumer.partitions_for_topic(name) or ()]
            ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
            consumer.assign(list(ends))
            found: list[BrokerRecord] = []
            while ends:
                batches = await consumer.getmany(*ends, timeout_ms=1000)
                for place, messages in batches.items():
                    found += [
                        BrokerRecord(m.topic, m.partition, m.offset, m.key.decode(), m.value, m.timestamp)
                        for m in messages
                    ]
                    if messages and messages[-1].offset + 1 >= ends[place]:
                        del ends[place]
            return found
        finally:
            await consumer.stop()


@contextmanager
def running_broker(folder: Path) -> Iterator[KafkaBroker]:
    """Run a broker for the length of the block."""
    broker = KafkaBroker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
