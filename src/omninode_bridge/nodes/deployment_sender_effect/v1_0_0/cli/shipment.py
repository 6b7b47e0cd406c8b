"""Packages an image and sends it to a receiver, with an event at each step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..errors import ErrorCode
from ..models import (
    EventType,
    ModelContainerPackageInput,
    ModelContainerPackageOutput,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    OutputModel,
)
from ..node import NodeDeploymentSenderEffect
from ..ports import Progress
from .console import Console
from .failures import SHOWN_ERRORS, public_code
from .watch import Watch

__all__ = ["Shipment", "package_with_progress", "transfer_with_progress"]

_NOT_FOR_EVENTS = {
    *OutputModel.model_fields,
    *("container_name", "image_tag", "package_id"),  # fields of the event itself
    *("package_path", "transfer_success"),  # of no use on other machines
}


async def package_with_progress(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelContainerPackageInput
) -> ModelContainerPackageOutput:
    """Package an image and show the progress."""
    image = f"{request.container_name}:{request.image_tag}"
    with console.step(f"packaging {image}") as step:
        output = await node.package_container(request, on_progress=step.on_progress)
        step.done = f"packaged {image}" if output.success else None
    return output


async def transfer_with_progress(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelPackageTransferInput, watch: Watch
) -> ModelPackageTransferOutput:
    """Send a package and show the progress; if that is interrupted, show what is known of the transfer."""
    try:
        return await _transfer(node, console, request, watch)
    except asyncio.CancelledError:
        console.document(watch.document(request))
        console.print_to_stderr(*watch.lines(request))
        raise


async def _transfer(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelPackageTransferInput, watch: Watch
) -> ModelPackageTransferOutput:
    to = request.remote_receiver_url
    with console.step(f"sending {request.package_id} to {to}") as step:

        def on_progress(progress: Progress) -> None:
            watch.record(progress)
            step.on_progress(progress)

        output = await node.transfer_package(request, on_progress=on_progress)
        step.done = f"sent {request.package_id} to {to}" if output.success else None
    return output


class Shipment:
    """One shipment. An event that cannot be published never stops it.

    Args:
        node: Packages, sends and publishes.
        console: Shows the progress.
        build: The image to package.

    Attributes:
        events: Each event so far, with the result of its publication.
    """

    def __init__(self, node: NodeDeploymentSenderEffect, console: Console, build: ModelContainerPackageInput) -> None:
        self.events: list[tuple[EventType, ModelKafkaPublishOutput]] = []
        self._node = node
        self._console = console
        self._build = build
        self._package_id: str | None = None
        self._platform: dict[str, str | None] = {}

    async def package(self) -> ModelContainerPackageOutput:
        """Build the image and store it as a package.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR.
        """
        async with self._publishing_failures(ErrorCode.BUILD_FAILED):
            inputs = self._build.model_dump(include={"dockerfile_path", "target", "platform"})
            await self._publish(EventType.BUILD_STARTED, inputs)
            output = await package_with_progress(self._node, self._console, self._build)
            if output.success:
                self._package_id = output.package_id
                self._platform = {"platform": output.platform}
                await self._publish(EventType.BUILD_COMPLETED, _event_payload(output))
        if not output.success:
            await self._publish_failure(output.error_code, output.error_message, output.recovery)
        return output

    async def transfer(self, request: ModelPackageTransferInput) -> ModelPackageTransferOutput:
        """Send the package.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR.
        """
        receiver, watch = {"remote_receiver_url": request.remote_receiver_url}, Watch()
        async with self._publishing_failures(ErrorCode.TRANSFER_FAILED, watch):
            await self._publish(EventType.TRANSFER_STARTED, receiver)
            output = await transfer_with_progress(self._node, self._console, request, watch)
        if output.success:
            await self._publish(EventType.TRANSFER_COMPLETED, receiver | _event_payload(output))
        elif not output.deployment_continues:  # the outcome is not known yet
            await self._publish_failure(output.error_code, output.error_message, output.recovery)
        return output

    @asynccontextmanager
    async def _publishing_failures(self, code: ErrorCode, watch: Watch | None = None) -> AsyncIterator[None]:
        """Publish a failure that has no output, too; a deployment that the receiver may continue has not failed."""
        try:
            yield
        except SHOWN_ERRORS as error:
            await self._publish_failure(public_code(error), error.message, error.recovery)
            raise
        except asyncio.CancelledError:
            if watch is None or not watch.may_continue:
                await self._publish_failure(code, "interrupted", "Ship it again.")
            raise

    async def _publish_failure(self, code: ErrorCode | None, message: str | None, recovery: str | None) -> None:
        failure = {"error_code": code, "error_message": message, "recovery": recovery}
        await self._publish(EventType.DEPLOYMENT_FAILED, failure)

    async def _publish(self, event_type: EventType, payload: dict[str, Any]) -> None:
        event = await self._node.publish_transfer_event(
            ModelKafkaPublishInput(
                event_type=event_type,
                event_payload={name: value for name, value in (self._platform | payload).items() if value is not None},
                package_id=self._package_id,
                container_name=self._build.container_name,
                image_tag=self._build.image_tag,
                correlation_id=self._build.correlation_id,
            )
        )
        self.events.append((event_type, event))
        if not event.success:
            where = "waits in the outbox" if event.queued else "is lost"
            self._console.note(f"the event {event_type} {where}: {event.error_code}: {event.error_message}")


def _event_payload(output: OutputModel) -> dict[str, Any]:
    return output.model_dump(mode="json", exclude=_NOT_FOR_EVENTS)
