"""One run, from the first part that starts to the last that is gone."""

import asyncio
import logging
from collections.abc import Callable

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.kafka.publisher import open_publisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.publisher import OutboxPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from soak.deployments import Deployments
from soak.evidence import Evidence
from soak.left import left_files, received_packages, receiver_metrics
from soak.parts import Parts, running_parts
from soak.plan import Plan
from soak.process import Belongings, open_files, peak_bytes

__all__ = ["run"]

_log = logging.getLogger(__name__)
_FLUSH_SECONDS = 120
_PUBLISH_SECONDS = 5
_TOPICS = [topic.name for topic in load_contract().topics.values()]


def run(plan: Plan, report: Callable[[str], None]) -> Evidence:
    """Do a whole run; what it has made is gone when this returns or raises.

    Args:
        plan: What to do.
        report: Called with each step of progress.
    """
    with running_parts() as parts:
        try:
            evidence = asyncio.run(_work(plan, parts, report))
            evidence.records = asyncio.run(parts.broker.records(_TOPICS))
            evidence.sender_peak_bytes, evidence.receiver_peak_bytes = peak_bytes(), peak_bytes(parts.receiver.pid)
            evidence.receiver_metrics = receiver_metrics(parts.receiver.url)
            for folder in ("packages", "staging"):
                evidence.leaks += open_files(parts.receiver.pid, parts.receiver.store / folder)
            parts.receiver.stop()
            evidence.received = received_packages(parts.receiver.store)
            evidence.left_files = left_files(parts.folder, parts.receiver.store, parts.temporary)
        finally:
            for line in parts.receiver.lines:
                _log.info("the receiver printed: %s", line)
    return evidence


async def _work(plan: Plan, parts: Parts, report: Callable[[str], None]) -> Evidence:
    belongings = Belongings()
    await parts.broker.create_topics(_TOPICS)
    values = {
        "package_dir": str(parts.folder),
        "kafka_bootstrap_servers": parts.broker.address,
        "publish_timeout_seconds": _PUBLISH_SECONDS,
        "signing_key": parts.key,
    }
    async with NodeDeploymentSenderEffect(values) as node:
        deployments = Deployments(plan, parts, node, report)
        evidence = await deployments.go()
        # As an operator does it after a broker was away; the node counts with its next event what it has sent behind.
        outbox = OutboxThread(parts.folder / "outbox.sqlite3")
        publisher = OutboxPublisher(outbox, lambda: open_publisher(parts.broker.address, _PUBLISH_SECONDS))
        try:
            evidence.flushed = (await publisher.flush(_FLUSH_SECONDS)).sent
            await deployments.publish("BUILD_STARTED", "the last", correlation_id="the last")
            evidence.metrics = await node.get_metrics()
            await node.cleanup()
            evidence.outbox = {str(state): count for state, count in (await outbox.run(OutboxJournal.counts)).items()}
        finally:
            await publisher.close()
    evidence.leaks = await belongings.leaked()
    return evidence
