"""Handler of `publish_transfer_event`: into the outbox, then to the broker."""

import asyncio
from typing import TYPE_CHECKING, ClassVar

from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelKafkaPublishInput, ModelKafkaPublishOutput
from ..resources import Resources
from ..telemetry.metrics import Span
from .outcome import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..contract import TopicSpec
    from ..outbox.envelope import Event
    from ..outbox.publisher import Outcome

__all__ = ["PublishTransferEventHandler"]


class PublishTransferEventHandler:
    """Publishes what happens to packages."""

    request_model: ClassVar = ModelKafkaPublishInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._build_event: Callable[[ModelKafkaPublishInput, TopicSpec, str], Event] | None = None

    async def handle(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        """Accept an event and publish it.

        Args:
            request: What happened.

        Returns:
            Where the event is: acknowledged by the broker, or waiting in the outbox. Waiting is no failure where no
            broker is set, and KAFKA_PUBLISH_FAILED where one is.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR when the payload does not fit into an event, or there is no
                folder for the outbox.
        """
        called = Span()
        topic = (await self._resources.contract()).topics[request.event_type]
        build_event = self._build_event
        if build_event is None:
            build_event = await asyncio.to_thread(self._load)
        event = build_event(request, topic, self._resources.settings.environment)
        outcome: Outcome | None = None
        error: DeploymentSenderError | None = None
        try:
            with self._resources.metrics.span("publishes", f"{event.event_type} of {event.key}"):
                outcome = await self._submit(event)
                if outcome.error is not None:
                    raise outcome.error
        except DeploymentSenderError as exc:
            if exc.code is ErrorCode.VALIDATION_ERROR:
                raise
            error = exc
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

    def _load(self) -> "Callable[[ModelKafkaPublishInput, TopicSpec, str], Event]":
        """Load what makes events, where it is first used: in a thread, as a loop may not wait for a disk."""
        from ..outbox.envelope import build_event  # noqa: PLC0415

        self._build_event = build_event
        return build_event

    async def _submit(self, event: "Event") -> "Outcome":
        courier = await self._resources.courier()
        outcome = await courier.submit(event, self._resources.settings.publish_timeout_seconds)
        self._resources.metrics.add("total_events_published", outcome.newly_sent)
        return outcome
