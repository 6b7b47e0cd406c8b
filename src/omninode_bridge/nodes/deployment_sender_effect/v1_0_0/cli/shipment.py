"""From a Dockerfile to a receiver, with an event at each step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..errors import DeploymentSenderError, ErrorCode
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
from .watch import Watch

__all__ = ["Shipment", "package_with_progress", "transfer_with_progress"]

_NOT_FOR_EVENTS = {
    *OutputModel.model_fields,
    *("container_name", "image_tag", "package_id"),  # told by the event itself
    *("package_path", "transfer_success"),  # mean nothing to others
}


async def package_with_progress(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelContainerPackageInput
) -> ModelContainerPackageOutput:
    """Package an image and show how far it is."""
    image = f"{request.container_name}:{request.image_tag}"
    with console.step(f"packaging {image}") as step:
        output = await node.package_container(request, on_progress=step.on_progress)
        step.done = f"packaged {image}" if output.success else None
    return output


async def transfer_with_progress(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelPackageTransferInput, watch: Watch
) -> ModelPackageTransferOutput:
    """Send a package and show how far it is; tell what is known of it if that is broken off."""
    try:
        return await _transferred(node, console, request, watch)
    except asyncio.CancelledError:
        console.document(watch.document(request))
        console.print_to_stderr(*watch.lines(request))
        raise


async def _transferred(
    node: NodeDeploymentSenderEffect, console: Console, request: ModelPackageTransferInput, watch: Watch
) -> ModelPackageTransferOutput:
    to = request.remote_receiver_url
    with console.step(f"sending {request.package_id} to {to}") as step:

        def on_progress(progress: Progress) -> None:
            watch.see(progress)
            step.on_progress(progress)

        output = await node.transfer_package(request, on_progress=on_progress)
        step.done = f"sent {request.package_id} to {to}" if output.success else None
    return output


class Shipment:
    """One shipment. An event that cannot be published never stops it.

    Args:
        node: Does the work.
        console: Shows how far it is.
        build: What to package.

    Attributes:
        events: Each event so far, and what became of it.
    """

    def __init__(self, node: NodeDeploymentSenderEffect, console: Console, build: ModelContainerPackageInput) -> None:
        self.events: list[tuple[EventType, ModelKafkaPublishOutput]] = []
        self._node = node
        self._console = console
        self._build = build
        self._package_id: str | None = None
        self._platform: dict[str, str | None] = {}

    async def package(self) -> ModelContainerPackageOutput:
        """Build and keep the image. VALIDATION_ERROR."""
        async with self._no_silent_end(ErrorCode.BUILD_FAILED):
            asked = self._build.model_dump(include={"dockerfile_path", "target", "platform"})
            await self._tell(EventType.BUILD_STARTED, asked)
            output = await package_with_progress(self._node, self._console, self._build)
            if output.success:
                self._package_id = output.package_id
                self._platform = {"platform": output.platform}
                await self._tell(EventType.BUILD_COMPLETED, _told(output))
        if not output.success:
            await self._tell_failure(output.error_code, output.error_message, output.recovery)
        return output

    async def transfer(self, request: ModelPackageTransferInput) -> ModelPackageTransferOutput:
        """Send the package. VALIDATION_ERROR."""
        receiver, watch = {"remote_receiver_url": request.remote_receiver_url}, Watch()
        async with self._no_silent_end(ErrorCode.TRANSFER_FAILED, watch):
            await self._tell(EventType.TRANSFER_STARTED, receiver)
            output = await transfer_with_progress(self._node, self._console, request, watch)
        if output.success:
            await self._tell(EventType.TRANSFER_COMPLETED, receiver | _told(output))
        elif not output.deployment_continues:  # nobody knows yet how that ends
            await self._tell_failure(output.error_code, output.error_message, output.recovery)
        return output

    @asynccontextmanager
    async def _no_silent_end(self, code: ErrorCode, watch: Watch | None = None) -> AsyncIterator[None]:
        """Tell the failure also when there is no output to tell it; what the receiver may go on with has not failed."""
        try:
            yield
        except DeploymentSenderError as error:
            await self._tell_failure(error.code, error.message, error.recovery)
            raise
        except asyncio.CancelledError:
            if watch is None or not watch.may_continue:
                await self._tell_failure(code, "interrupted", "Ship it again.")
            raise

    async def _tell_failure(self, code: ErrorCode | None, message: str | None, recovery: str | None) -> None:
        failure = {"error_code": code, "error_message": message, "recovery": recovery}
        await self._tell(EventType.DEPLOYMENT_FAILED, failure)

    async def _tell(self, event_type: EventType, payload: dict[str, Any]) -> None:
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


def _told(output: OutputModel) -> dict[str, Any]:
    return output.model_dump(mode="json", exclude=_NOT_FOR_EVENTS)
