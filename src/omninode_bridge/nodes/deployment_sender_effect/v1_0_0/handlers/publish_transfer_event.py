"""Handler of `publish_transfer_event`: into the outbox, then to the broker."""

from typing import ClassVar

from ..errors import DeploymentSenderError
from ..events.courier import Outcome
from ..events.envelope import Event, build_event
from ..metrics import Span
from ..models import ModelKafkaPublishInput, ModelKafkaPublishOutput
from ..resources import Resources
from .outcome import failure

__all__ = ["PublishTransferEventHandler"]


class PublishTransferEventHandler:
    """Publishes what happens to packages."""

    request_model: ClassVar = ModelKafkaPublishInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def handle(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        """Accept an event and publish it.

        Args:
            request: What happened.

        Returns:
            Where the event is: acknowledged by the broker, or waiting in the outbox. Waiting is no failure where no
            broker is set, and KAFKA_PUBLISH_FAILED where one is.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR when the payload does not fit into an event.
        """
        topic = (await self._resources.contract()).topics[request.event_type]
        event = build_event(request, topic, self._resources.settings.environment)
        outcome: Outcome | None = None
        try:
            with self._resources.metrics.span("publishes", f"{event.event_type} of {event.key}") as span:
                outcome = await self._submit(event)
                if outcome.error is not None:
                    raise outcome.error
        except DeploymentSenderError as error:
            return ModelKafkaPublishOutput(
                **failure(error),
                **_facts(event, request, span),
                event_published=False,
                queued=outcome is not None and outcome.queued,
            )
        ...

    async def _submit(self, event: Event) -> Outcome:
        courier = await self._resources.courier()
        outcome = await courier.submit(event, self._resources.settings.publish_timeout_seconds)
        self._resources.metrics.add("total_events_published", outcome.newly_sent)
        return outcome
