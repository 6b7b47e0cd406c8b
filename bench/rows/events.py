"""An event, until the broker has acknowledged it and the outbox has it for good."""

import asyncio
import os
from time import perf_counter
from typing import BinaryIO

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from bench.measure import compare, percentile
from bench.programs import BenchError
from bench.report import Figure, Table, entries
from bench.session import Session, running_node
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    EventType,
    ModelKafkaPublishInput,
    NodeDeploymentSenderEffect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from support.kafka.broker import KafkaBroker, running_broker

__all__ = ["measure"]

_OURS = "publish_transfer_event"
_BARE = "aiokafka send_and_wait + one fsync"
_TIMES = 200
_TOPICS = [topic.name for topic in load_contract().topics.values()]
_BARE_TOPIC = "bench"
_ASKED = ModelKafkaPublishInput(event_type=EventType.BUILD_STARTED, container_name="bench", image_tag="1.0")
_EVENT = b"x" * 1000  # about as large as ours


def measure(session: Session) -> Table:
    """Compare."""
    session.report(f"events: {_TIMES} times each")
    folder = session.folder / "events"
    with running_broker(folder / "broker") as broker:
        values = {"package_dir": str(folder / "node"), "kafka_bootstrap_servers": broker.address}
        with running_node(values) as (runner, node), (folder / "file").open("wb", buffering=0) as file:
            producer = runner.run(_producer(broker))
            try:
                found = compare(
                    {
                        _OURS: lambda: runner.run(_publish(node)),
                        _BARE: lambda: runner.run(_bare(producer, file)),
                    },
                    _TIMES,
                    warm_up=True,
                )
            finally:
                runner.run(producer.stop())
            records = runner.run(broker.records(_TOPICS))
    slow = {name: percentile(found.values(name), 99) for name in (_OURS, _BARE)}
    published = _TIMES + 1
    return Table(
        "events",
        f"an event that the broker has acknowledged and that is durable here, {_TIMES} times each",
        entries=entries(
            found,
            ours=[_OURS],
            floor=_BARE,
            details={name: f"99th percentile {ms:.3g} ms" for name, ms in slow.items()},
            unit="ms",
        ),
        figures=[
            Figure(f"{_OURS} / {_BARE}", found.ratio(_OURS, _BARE), "x", at_most=1.5),
            Figure(f"{_OURS}, 99th percentile", slow[_OURS], "ms", at_most=50),
        ],
        wrong=[] if len(records) == published else [f"{len(records)} of {published} events are in the broker"],
    )


async def _producer(broker: KafkaBroker) -> AIOKafkaProducer:
    await broker.create_topics([*_TOPICS, _BARE_TOPIC])
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, acks="all")
    await producer.start()
    return producer


async def _publish(node: NodeDeploymentSenderEffect) -> float:
    started = perf_counter()
    output = await node.publish_transfer_event(_ASKED)
    seconds = perf_counter() - started
    if not output.event_published:
        raise BenchError(f"publish_transfer_event: {output!r}")
    return seconds * 1000


async def _bare(producer: AIOKafkaProducer, file: BinaryIO) -> float:
    def keep() -> None:
        file.write(_EVENT)
        os.fsync(file.fileno())

    started = perf_counter()
    await asyncio.to_thread(keep)
    await producer.send_and_wait(_BARE_TOPIC, _EVENT, key=b"bench")
    return (perf_counter() - started) * 1000
