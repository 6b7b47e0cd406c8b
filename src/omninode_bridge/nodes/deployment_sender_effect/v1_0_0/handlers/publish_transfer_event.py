"""Handler of `publish_transfer_event`: into the outbox, then to the broker."""

from typing import TYPE_CHECKING, ClassVar

from ..errors import DeploymentSenderError, ErrorCode, OperationError
from ..lazy_import import lazy_module, load
from ..models import ModelKafkaPublishInput, ModelKafkaPublishOutput
from ..resources import Resources
from ..telemetry.metrics import Span
from .outcome import failure, public_failure

if TYPE_CHECKING:
    from ..outbox import envelope
    from ..outbox.envelope import Event
    from ..outbox.publisher import Outcome
else:
    envelope = lazy_module("..outbox.envelope", __package__)

__all__ = ["PublishTransferEventHandler"]


class PublishTransferEventHandler:
    """Publishes the events of packages."""

    request_model: ClassVar = ModelKafkaPublishInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def handle(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        """Accept an event and publish it.

        Args:
            request: The event.

        Returns:
            Where the event is: acknowledged by the broker, or waiting in the outbox. An event that waits is a success
            where no broker is set, and KAFKA_PUBLISH_FAILED where one is.

        Raises:
            InvalidInputError: The payload does not fit into an event, or there is no folder for the outbox.
        """
        called = Span()
        topic = (await self._resources.contract()).topics[request.event_type]
        await load(envelope)
        event = envelope.build_event(request, topic, self._resources.settings.environment)
        outcome, error = await self._publish(event)
        delivery = outcome.delivery if outcome else None
        return ModelKafkaPublishOutput(
            **({"success": True} if error is None else failure(error)),
            event_published=delivery is not None,
            queued=outcome is not None and outcome.queued,
            event_id=event.event_id,
            topic=event.topic,
            partition=delivery.partition if delivery else None,
            offset=delivery.offset if delivery else None,
            publish_duration_ms=called.elapsed_ms if delivery or error else None,
            correlation_id=request.correlation_id,
        )

    async def _publish(self, event: "Event") -> "tuple[Outcome | None, DeploymentSenderError | None]":
        """Return what is known of the event, and the failure; an event in the outbox may have both."""
        outcome = None
        try:
            with self._resources.metrics.span("publishes", f"{event.event_type} of {event.key}"):
                outcome = await self._submit(event)
                if outcome.error is not None:
                    raise outcome.error
        except (OperationError, DeploymentSenderError) as error:
            return outcome, public_failure(error, storage=ErrorCode.KAFKA_PUBLISH_FAILED)
        return outcome, None

    async def _submit(self, event: "Event") -> "Outcome":
        publisher = await self._resources.outbox()
        outcome = await publisher.submit(event, self._resources.settings.publish_timeout_seconds)
        self._resources.metrics.add("total_events_published", outcome.newly_sent)
        return outcome
