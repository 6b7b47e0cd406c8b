"""`publish_transfer_event`: publish an event about a package."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from .base import InputModel, OutputModel
from .fields import ContainerName, CorrelationId, ImageTag, PackageId

__all__ = ["EventType", "ModelKafkaPublishInput", "ModelKafkaPublishOutput"]


class EventType(StrEnum):
    """The events of a deployment; contract.yaml names the topic of each."""

    BUILD_STARTED = "BUILD_STARTED"
    BUILD_COMPLETED = "BUILD_COMPLETED"
    TRANSFER_STARTED = "TRANSFER_STARTED"
    TRANSFER_COMPLETED = "TRANSFER_COMPLETED"
    DEPLOYMENT_FAILED = "DEPLOYMENT_FAILED"


class ModelKafkaPublishInput(InputModel):
    """The event.

    Attributes:
        event_type: One of the five.
        event_payload: Any JSON object; it becomes the envelope's payload unchanged.
        package_id: The Kafka key, which keeps a package's events in order; None before there is a package. Then the
            correlation id is the key, or the event's id where there is neither.
        container_name: Added to the payload.
        image_tag: Added to the payload.
        correlation_id: The caller's id; the contract's if not given.
    """

    event_type: EventType
    event_payload: dict[str, Any] = Field(default_factory=dict)
    package_id: PackageId | None = None
    container_name: ContainerName | None = None
    image_tag: ImageTag | None = None
    correlation_id: CorrelationId | None = None


class ModelKafkaPublishOutput(OutputModel):
    """Whether the event was published, and where.

    Attributes:
        event_published: Whether the broker has acknowledged it.
        queued: Whether it waits in the outbox.
        event_id: The envelope's id, by which consumers recognise repeated events.
        topic: The event's topic.
        partition: As the broker acknowledged it; None until then.
        offset: As the broker acknowledged it; None until then.
        publish_duration_ms: From the call to the acknowledgement or the failure, in milliseconds.
    """

    event_published: bool
    queued: bool = False
    event_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    publish_duration_ms: float | None = None
