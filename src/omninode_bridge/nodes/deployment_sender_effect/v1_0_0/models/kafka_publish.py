"""`publish_transfer_event`: tell the world what happened to a package."""

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
        event_type: Which of the five.
        event_payload: Anything JSON can hold; goes into the envelope's payload as it is.
        package_id: The Kafka key, so that a package's events stay in order; None before there is a package: then the
            correlation id is the key, or the event's own id where there is neither.
        container_name: Added to the payload.
        image_tag: Added to the payload.
        correlation_id: The caller's own id; the contract's, if not given.
    """

    event_type: EventType
    event_payload: dict[str, Any] = Field(default_factory=dict)
    package_id: PackageId | None = None
    container_name: ContainerName | None = None
    image_tag: ImageTag | None = None
    correlation_id: CorrelationId | None = None


class ModelKafkaPublishOutput(OutputModel):
    """Where the event is now.

    Attributes:
        event_published: The broker has acknowledged it.
        queued: It waits in the outbox.
        event_id: The envelope's id; consumers dedupe on it.
        topic: The topic it is for.
        partition: As the broker said; None until it did.
        offset: As the broker said; None until it did.
        publish_duration_ms: From the call to the acknowledgement or the failure, in milliseconds.
    """

    event_published: bool
    queued: bool = False
    event_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    publish_duration_ms: float | None = None
