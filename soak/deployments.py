"""The deployments, several at once, through one node, while the plan's faults happen."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelContainerPackageOutput,
    ModelPackageTransferOutput,
    NodeDeploymentSenderEffect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelKafkaPublishOutput, OutputModel
from soak.evidence import Deployed, Evidence, Published
from soak.parts import Parts
from soak.plan import Plan
from support.http.fault_proxy import Fault, FaultProxy

__all__ = ["Deployments"]

T = TypeVar("T", bound=OutputModel)

_TELL_EVERY = 5


class Deployments:
    """Goes through a plan.

    Args:
        plan: What to do.
        parts: What to do it with.
        node: Through which.
        report: Called with the progress now and then.
    """

    def __init__(
        self, plan: Plan, parts: Parts, node: NodeDeploymentSenderEffect, report: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._parts = parts
        self._node = node
        self._report = report
        self._restarting = asyncio.Lock()
        self._evidence = Evidence(plan.seed, plan.concurrency)

    async def go(self) -> Evidence:
        """Do them all; when this comes back the broker is there."""
        numbers = iter(range(self._plan.count))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as work:
            for _ in range(self._plan.concurrency):
                work.create_task(self._some(numbers, work))
        self._evidence.seconds = time.perf_counter() - started
        return self._evidence

    async def publish(self, event_type: str, key: str, **fields: Any) -> Published:
        """Publish an event of a key."""
        output = await self._ask("publish_transfer_event", ModelKafkaPublishOutput, event_type=event_type, **fields)
        event = Published(
            event_id=output.event_id or "",
            key=key,
            accepted=output.event_published or output.queued,
            acknowledged=output.event_published,
            duration_ms=output.publish_duration_ms or 0,
        )
        self._evidence.events.append(event)
        return event

    async def _some(self, numbers: Iterator[int], work: asyncio.TaskGroup) -> None:
        for number in numbers:
            deployed = Deployed(number, cut=number in self._plan.cuts)
            started = time.perf_counter()
            await self._deploy(deployed)
            deployed.seconds = time.perf_counter() - started
            self._evidence.deployed.append(deployed)
            done = len(self._evidence.deployed)
            if done % _TELL_EVERY == 0:
                self._report(f"{done} of {self._plan.count} deployments")
            if done in self._plan.restarts:
                work.create_task(self._restart(self._plan.restarts[done]))

    async def _deploy(self, one: Deployed) -> None:
        image = {"container_name": self._parts.images.name, "image_tag": str(one.number)}
        ours = {"correlation_id": f"{self._parts.images.name}-{one.number}"}
        await self.publish("BUILD_STARTED", ours["correlation_id"], **image, **ours)
        if await self._package(one, image | ours):
            ours["package_id"] = one.package_id
            await self.publish("BUILD_COMPLETED", one.package_id, **image, **ours)
            await self.publish("TRANSFER_STARTED", one.package_id, **image, **ours)
            await self._transfer(one)
        outcome = "DEPLOYMENT_FAILED" if one.failures else "TRANSFER_COMPLETED"
        await self.publish(outcome, ours.get("package_id", ours["correlation_id"]), **image, **ours)

    async def _package(self, one: Deployed, fields: dict[str, str]) -> bool:
        context = await asyncio.to_thread(self._parts.images.context, one.number)
        output = await self._ask("package_container", ModelContainerPackageOutput, build_context=str(context), **fields)
        one.build_ms, one.export_ms = output.build_duration_ms, output.export_duration_ms
        one.size_bytes = output.package_size_bytes or 0
        one.package_id, one.checksum = output.package_id or "", output.package_checksum or ""
        return self._succeeded(one, output)

    async def _transfer(self, one: Deployed) -> None:
        cut = self._plan.cuts.get(one.number)
        faults = [] if cut is None else [Fault(), cut.fault(one.size_bytes)]  # the receiver is asked about itself first
        async with FaultProxy(self._parts.receiver.url, *faults) as proxy:
            output = await self._ask(
                "transfer_package",
                ModelPackageTransferOutput,
                package_id=one.package_id,
                remote_receiver_url=proxy.url,
                wait_for="loaded",
            )
        one.transfer_ms, one.attempts = output.transfer_duration_ms, output.attempts
        self._succeeded(one, output)

    def _succeeded(self, one: Deployed, output: OutputModel) -> bool:
        if not output.success:
            one.failures.append(f"{output.error_code}: {output.error_message}")
        return output.success

    async def _ask(self, operation: str, model: type[T], **fields: Any) -> T:
        output = await self._node.execute_effect({"input_data": {"operation": operation, "input": fields}})
        assert isinstance(output, model)
        return output

    async def _restart(self, seconds: float) -> None:
        async with self._restarting:
            await asyncio.to_thread(self._parts.broker.save_and_kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._parts.broker.start)
            self._evidence.restarts += 1
