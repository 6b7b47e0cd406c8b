"""Events, from the node to a real broker and back."""

import asyncio
import json
import signal
import subprocess
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.kafka.publisher import open_publisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelKafkaPublishInput, ModelKafkaPublishOutput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.publisher import FlushReport, OutboxPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from support.kafka import publishing
from support.kafka.broker import BrokerRecord, KafkaBroker, running_broker
from support.kafka.protocol import TOO_LARGE, ScriptedKafka
from support.process.disks import small_disk

TOPICS = [topic.name for topic in load_contract().topics.values()]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker for one test."""
    with running_broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
async def node(tmp_path: Path, broker: KafkaBroker) -> AsyncIterator[NodeDeploymentSenderEffect]:
    """A node with the broker's address."""
    async with NodeDeploymentSenderEffect(values(tmp_path, broker.address)) as node:
        yield node


def values(tmp_path: Path, servers: str | None) -> dict[str, Any]:
    """Return the settings of a node."""
    folder = str(tmp_path / "store")
    return {"package_dir": folder, "kafka_bootstrap_servers": servers, "publish_timeout_seconds": 60}


async def publish(node: NodeDeploymentSenderEffect, **fields: Any) -> ModelKafkaPublishOutput:
    """Publish an event."""
    return await node.publish_transfer_event(
        ModelKafkaPublishInput.read({"event_type": "BUILD_STARTED", "package_id": str(uuid4())} | fields)
    )


async def publish_numbered(node: NodeDeploymentSenderEffect, numbers: range) -> list[ModelKafkaPublishOutput]:
    """Publish numbered events of a few packages, one after the other."""
    return [await node.publish_transfer_event(publishing.request("test", number)) for number in numbers]


async def flush(tmp_path: Path, servers: str, timeout_seconds: float = 60) -> FlushReport:
    """Flush the outbox, as another process does."""
    publisher = OutboxPublisher(
        OutboxThread(tmp_path / "store" / "outbox.sqlite3"), lambda: open_publisher(servers, 60)
    )
    try:
        return await publisher.flush(timeout_seconds)
    finally:
        await publisher.close()


async def waiting(tmp_path: Path) -> int:
    """Count the events that wait, as another process does."""
    publisher = OutboxPublisher(OutboxThread(tmp_path / "store" / "outbox.sqlite3"), None)
    try:
        return (await publisher._outbox.run(OutboxJournal.counts))[EventState.WAITING]
    finally:
        await publisher.close()


def first_deliveries(records: list[BrokerRecord]) -> dict[tuple[str, str], list[int]]:
    """Return by package and process the numbers of the events, in the order in which each first arrived."""
    seen: set[str] = set()
    found = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        envelope = json.loads(record.value)
        if envelope["envelope_id"] not in seen:
            seen.add(envelope["envelope_id"])
            found[record.key, envelope["payload"]["process"]].append(envelope["payload"]["number"])
    return dict(found)


def in_order(names: list[str], count: int) -> dict[tuple[str, str], list[int]]:
    """Return what `first_deliveries` returns if every event arrived, in order per package and process."""
    packages = publishing.PACKAGE_IDS
    return {
        (key, name): list(range(index, count, len(packages))) for index, key in enumerate(packages) for name in names
    }


async def test_a_consumer_reads_each_event_at_its_place(node: NodeDeploymentSenderEffect, broker: KafkaBroker) -> None:
    """The place is the one in the output."""
    await broker.create_topics(TOPICS)
    output = await publish(node, event_type="TRANSFER_COMPLETED", event_payload={"size": 12}, correlation_id="d-1")

    (record,) = await broker.records(TOPICS)

    envelope = json.loads(record.value)
    assert (True, True, False) == (output.success, output.event_published, output.queued)
    assert (record.topic, record.partition, record.offset) == (output.topic, output.partition, output.offset)
    assert (output.event_id, record.key) == (envelope["envelope_id"], envelope["payload"]["package_id"])
    assert (12, "d-1") == (envelope["payload"]["size"], envelope["payload"]["correlation_id"])
    assert "deployment-sender.transfer-completed" == envelope["event_type"]


async def test_partition_and_offset_are_the_brokers_own(node: NodeDeploymentSenderEffect, broker: KafkaBroker) -> None:
    """Many packages are spread over several partitions."""
    await broker.create_topics(TOPICS)
    outputs = await asyncio.gather(*(publish(node) for _ in range(60)))

    records = await broker.records(TOPICS)

    reported = {(output.event_id, output.partition, output.offset) for output in outputs}
    assert reported == {(json.loads(r.value)["envelope_id"], r.partition, r.offset) for r in records}
    assert {0, 1, 2} == {output.partition for output in outputs}


async def test_a_broker_stores_the_largest_event_that_is_accepted(
    node: NodeDeploymentSenderEffect, broker: KafkaBroker
) -> None:
    """The broker has default settings."""
    output = await publish(node, event_payload={"log": "x" * 1_040_000})

    assert output.event_published


async def test_waiting_events_are_flushed_in_order(tmp_path: Path, broker: KafkaBroker) -> None:
    """None is lost and none is stored twice."""
    broker.stop()
    async with NodeDeploymentSenderEffect(values(tmp_path, broker.address)) as node:
        outputs = await publish_numbered(node, range(30))
    broker.start()

    report = await flush(tmp_path, broker.address)

    assert [(False, True)] * 30 == [(output.success, output.queued) for output in outputs]
    assert {ErrorCode.KAFKA_PUBLISH_FAILED} == {output.error_code for output in outputs}
    assert (30, 0, 0, None) == (report.sent, report.waiting, report.failed, report.error)
    records = await broker.records(TOPICS)
    assert 30 == len(records)
    assert in_order(["test"], 30) == first_deliveries(records)


async def test_waiting_events_are_sent_with_the_next_one(node: NodeDeploymentSenderEffect, broker: KafkaBroker) -> None:
    """In order too."""
    broker.stop()
    await publish_numbered(node, range(29))
    broker.start()

    (last,) = await publish_numbered(node, range(29, 30))
    await node.cleanup()

    assert last.event_published
    assert in_order(["test"], 30) == first_deliveries(await broker.records(TOPICS))


async def test_events_that_waited_without_a_broker_are_sent_to_one(tmp_path: Path, broker: KafkaBroker) -> None:
    """The outbox is the same."""
    async with NodeDeploymentSenderEffect(values(tmp_path, None)) as node:
        outputs = await publish_numbered(node, range(10))

    await flush(tmp_path, broker.address)

    assert [(True, True)] * 10 == [(output.success, output.queued) for output in outputs]
    assert in_order(["test"], 10) == first_deliveries(await broker.records(TOPICS))


async def test_a_broker_that_restarts_loses_nothing(
    tmp_path: Path, node: NodeDeploymentSenderEffect, broker: KafkaBroker
) -> None:
    """An event under way is stored twice at most."""
    await broker.create_topics(TOPICS)
    outputs = []
    for number in range(0, 60, 5):
        at_once = asyncio.gather(*(publish_numbered(node, range(n, n + 1)) for n in range(number, number + 5)))
        if number in (15, 35):
            broker.stop()
        if number in (20, 40):
            broker.start()
        outputs += [output for (output,) in await at_once]
    await node.cleanup()

    await flush(tmp_path, broker.address)

    assert [True] * 60 == [output.event_published or output.queued for output in outputs]
    assert in_order(["test"], 60) == first_deliveries(await broker.records(TOPICS))


async def test_a_publish_to_a_frozen_broker_ends_at_its_deadline(
    tmp_path: Path, node: NodeDeploymentSenderEffect, broker: KafkaBroker
) -> None:
    """Connected already or not; nothing else on the node is delayed, and nothing is lost."""
    await publish_numbered(node, range(5))
    broker.freeze()

    connected = await publish_numbered(node, range(5, 6))
    publishing_more = asyncio.gather(*(publish_numbered(node, range(n, n + 1)) for n in range(6, 10)))
    await asyncio.sleep(0)
    await node.get_metrics()
    assert not publishing_more.done()
    unconnected = [output for (output,) in await publishing_more]
    await node.cleanup()

    assert [(False, True)] * 5 == [(output.success, output.queued) for output in connected + unconnected]
    broker.thaw()
    await flush(tmp_path, broker.address)
    assert in_order(["test"], 10) == first_deliveries(await broker.records(TOPICS))


async def test_a_cancelled_publish_to_a_frozen_broker_ends(
    tmp_path: Path, node: NodeDeploymentSenderEffect, broker: KafkaBroker
) -> None:
    """The event waits, and is sent with the next one."""
    await publish_numbered(node, range(5))
    broker.freeze()
    task = asyncio.create_task(publish_numbered(node, range(5, 6)))
    while not await waiting(tmp_path):  # noqa: ASYNC110 - another process's outbox has no event to set
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    broker.thaw()

    await publish_numbered(node, range(6, 11))
    await node.cleanup()

    found = first_deliveries(await broker.records(TOPICS))
    assert in_order(["test"], 11) == found


async def test_a_missing_topic_blocks_its_own_package_only(tmp_path: Path) -> None:
    """Other packages are not delayed; once the topic exists, the event is sent."""
    missing = load_contract().topics["DEPLOYMENT_FAILED"].name
    async with (
        ScriptedKafka(missing={missing}) as kafka,
        NodeDeploymentSenderEffect(values(tmp_path, kafka.address)) as node,
    ):
        failed = await publish(node, event_type="DEPLOYMENT_FAILED")
        others = [await publish(node) for _ in range(10)]
        kafka.missing.clear()
        report = await flush(tmp_path, kafka.address)

    assert (False, True) == (failed.success, failed.queued)
    assert f"did not accept the event for {missing}: [Error 3]" in (failed.error_message or "")
    assert "Create that topic" in (failed.recovery or "")
    assert [True] * 10 == [other.event_published for other in others]
    assert (0, 0, None) == (report.waiting, report.failed, report.error)


async def test_an_event_that_a_broker_finds_too_large_blocks_its_own_package_only(tmp_path: Path) -> None:
    """It fails and other packages go on; once the broker accepts it, the later events of its package follow."""
    package_id = str(uuid4())
    async with (
        ScriptedKafka(produce=deque([TOO_LARGE])) as kafka,
        NodeDeploymentSenderEffect(values(tmp_path, kafka.address)) as node,
    ):
        large, behind = [await publish(node, package_id=package_id) for _ in range(2)]
        other = await publish(node)
        report = await flush(tmp_path, kafka.address)

    assert [(False, False, ErrorCode.KAFKA_PUBLISH_FAILED), (False, True, ErrorCode.KAFKA_PUBLISH_FAILED)] == [
        (output.success, output.queued, output.error_code) for output in (large, behind)
    ]
    assert "[Error 10]" in str(large.error_message)
    assert "message.max.bytes" in str(large.recovery)
    assert str(large.event_id) in str(behind.error_message)
    assert other.event_published
    # The node or the flush, whichever is faster, sends the refused one again, and the one after it.
    assert (4, 0, 0, None) == (kafka.produced, report.waiting, report.failed, report.error)


async def test_two_processes_publish_side_by_side(tmp_path: Path, broker: KafkaBroker) -> None:
    """They share one outbox and the same packages."""
    await broker.create_topics(TOPICS)
    processes = [publishing.start(tmp_path / "store", broker.address, name, 100) for name in ("one", "two")]

    outputs = [await asyncio.to_thread(outputs_of, process) for process in processes]

    assert [[True] * 100] * 2 == [[output["event_published"] for output in reported] for reported in outputs]
    records = await broker.records(TOPICS)
    assert 200 == len(records)
    assert in_order(["one", "two"], 100) == first_deliveries(records)


async def test_events_of_a_killed_process_are_delivered(tmp_path: Path, broker: KafkaBroker) -> None:
    """The next process delivers them."""
    broker.stop()
    process = publishing.start(tmp_path / "store", broker.address, "killed", 10, "die")
    outputs = await asyncio.to_thread(outputs_of, process)
    broker.start()

    report = await flush(tmp_path, broker.address)

    assert -signal.SIGKILL == process.returncode
    assert [True] * 10 == [output["queued"] for output in outputs]
    assert 10 == report.sent
    assert in_order(["killed"], 10) == first_deliveries(await broker.records(TOPICS))


async def test_a_process_killed_at_any_moment_loses_no_accepted_event(tmp_path: Path, broker: KafkaBroker) -> None:
    """It is killed at another place each time."""
    await broker.create_topics(TOPICS)
    reported: dict[str, int] = {}
    for name in ("a", "b", "c", "d"):
        process = publishing.start(tmp_path / "store", broker.address, name, 100_000)
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(0.05)
        process.kill()
        reported[name] = 1 + len(await asyncio.to_thread(outputs_of, process))

    report = await flush(tmp_path, broker.address)

    assert (0, 0) == (report.waiting, report.failed)
    found = first_deliveries(await broker.records(TOPICS))
    for name, count in reported.items():
        numbers = sorted(number for (_, process_name), some in found.items() if process_name == name for number in some)
        assert list(range(len(numbers))) == numbers
        assert count <= len(numbers) <= count + 1
    assert [True] * len(found) == [some == sorted(some) for some in found.values()]


async def test_a_full_disk_accepts_nothing_and_loses_nothing(tmp_path: Path, broker: KafkaBroker) -> None:
    """Earlier events are delivered, and later ones too once there is space."""
    outputs: list[ModelKafkaPublishOutput] = []
    with small_disk(tmp_path / "store", 4_000_000) as store:
        (store / "something else").write_bytes(bytes(2_000_000))
        async with NodeDeploymentSenderEffect(values(tmp_path, None)) as node:
            while not outputs or outputs[-1].success:
                outputs.append(await publish(node, event_payload={"log": "x" * 100_000}))
            refused = outputs.pop()
            (store / "something else").unlink()
            outputs.append(await publish(node))
        report = await flush(tmp_path, broker.address)

        assert (False, False, ErrorCode.KAFKA_PUBLISH_FAILED) == (refused.success, refused.queued, refused.error_code)
        assert "its disk" in (refused.error_message or "")
        assert str(store) in (refused.recovery or "")
        assert (len(outputs), 0) == (report.sent, report.waiting)
        assert [True] * len(outputs) == [output.queued for output in outputs]
    assert {output.event_id for output in outputs} == {
        json.loads(record.value)["envelope_id"] for record in await broker.records(TOPICS)
    }


async def test_every_acknowledged_event_is_counted(node: NodeDeploymentSenderEffect, broker: KafkaBroker) -> None:
    """Those that waited too."""
    broker.stop()
    await publish_numbered(node, range(5))
    broker.start()
    await publish_numbered(node, range(5, 10))

    figures = await node.get_metrics()

    assert (5, 5, 10) == (
        figures["failed_publishes"],
        figures["successful_publishes"],
        figures["total_events_published"],
    )


def outputs_of(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """Return the outputs of a publishing process, whole lines only, once it has ended."""
    assert process.stdout is not None
    with process, process.stdout as stdout:
        text = stdout.read()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
