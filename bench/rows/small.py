"""Many small deployments, several at once, from the build to the loaded image."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.programs import BenchError
from bench.report import Entry, Figure, Table
from bench.session import Session, running_node
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelContainerPackageInput,
    ModelPackageTransferInput,
    NodeDeploymentSenderEffect,
)
from soak.left import received_packages
from soak.parts import running_parts

__all__ = ["measure"]

_IMAGES = 6
_DEPLOYMENTS = 60
_AT_ONCE = 5


class _Deployments:
    """Deploys images again and again through one node.

    Attributes:
        sent: The checksum of each package, by its id.
    """

    def __init__(self, node: NodeDeploymentSenderEffect, name: str, contexts: Sequence[Path], url: str) -> None:
        self._node = node
        self._name = name
        self._contexts = contexts
        self._url = url
        self.sent: dict[str, str] = {}

    async def go(self, count: int) -> float:
        """Do so many; return the seconds."""
        numbers = iter(range(count))
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._some(numbers))
        return perf_counter() - started

    async def _some(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            image = number % len(self._contexts)
            fields = {
                "container_name": self._name,
                "image_tag": str(image),
                "build_context": str(self._contexts[image]),
            }
            packaged = await self._node.package_container(ModelContainerPackageInput.read(fields))
            if not packaged.success:
                raise BenchError(f"package_container: {packaged!r}")
            to = {"package_id": packaged.package_id, "remote_receiver_url": self._url, "wait_for": "loaded"}
            sent = await self._node.transfer_package(ModelPackageTransferInput.read(to))
            if not (sent.success and sent.checksum_verified):
                raise BenchError(f"transfer_package: {sent!r}")
            self.sent[packaged.package_id or ""] = packaged.package_checksum or ""


def measure(session: Session) -> Table:
    """Deploy as many in each round."""
    with running_parts() as parts:
        contexts = [parts.images.context(number) for number in range(_IMAGES)]
        values = {"package_dir": str(parts.folder), "signing_key": parts.key}
        with running_node(values) as (runner, node):
            deployments = _Deployments(node, parts.images.name, contexts, parts.receiver.url)
            runner.run(deployments.go(_IMAGES))  # the engine has the builds from now on
            rates = []
            for number in range(session.rounds):
                session.report(f"small: round {number + 1} of {session.rounds}")
                rates.append(3600 * _DEPLOYMENTS / runner.run(deployments.go(_DEPLOYMENTS)))
        parts.receiver.stop()
        received = received_packages(parts.receiver.store)
    return Table(
        "small",
        f"{_IMAGES} images of 1 MB, {_DEPLOYMENTS} deployments, {_AT_ONCE} at once: build (cached) to loaded",
        entries=[Entry("ours", median(rates), "an hour")],
        figures=[Figure("deployments an hour", median(rates), "an hour", at_least=5000)],
        notes=["sender and receiver share one engine here, which has the layers when it loads"],
        wrong=[] if received == deployments.sent else ["the receiver has not stored what was sent"],
    )
