"""Turns a request into the event that goes to the broker: a topic, a key and the ONEX envelope as compact UTF-8 JSON.

The envelope is `ModelEventEnvelope` of omnibase_core 0.47.57 (models/events/model_event_envelope.py), written by hand,
as that package is not needed to run; tests/onex holds it against the real class. `producer` and `parent_envelope_id`
are left out: that class forbids keys it does not know, and releases before 0.47 do not know these two.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from ..contract import TopicSpec
from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelKafkaPublishInput

__all__ = ["CORRELATION_NAMESPACE", "MAX_EVENT_BYTES", "Event", "build_event"]

MAX_EVENT_BYTES = 1_048_576 - 1_024
"""Key and value together, in bytes.

A broker's default `message.max.bytes` is 1,048,588 for a record batch (kafka.apache.org/documentation, broker
configs), aiokafka's default `max_request_size` 1,048,576 for a record. A batch of one record adds at most 61 + 36 bytes
(record batch format, version 2); the rest of the 1,024 is slack.
"""

CORRELATION_NAMESPACE = UUID("7892e3f4-9e3e-5537-b2bb-215ba82fb9d5")
"""Namespace of correlation ids that are no UUIDs: `uuid5(NAMESPACE_DNS, "correlation.deployment-sender")`."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SOURCE_TOOL = "deployment-sender"


@dataclass(frozen=True, slots=True)
class Event:
    """What goes to the broker.

    Attributes:
        event_id: The envelope's `envelope_id`; consumers dedupe on it.
        event_type: As the caller named it.
        key: The Kafka key: events of one key are delivered in order.
        value: The envelope, UTF-8 JSON.
    """

    event_id: str
    event_type: str
    topic: str
    key: str
    value: bytes


def build_event(request: ModelKafkaPublishInput, topic: TopicSpec, environment: str) -> Event:
    """Put a request into its envelope.

    The payload is `event_payload` and these keys: `event_type`, `package_id`, `container_name`, `image_tag`,
    `correlation_id` (as it was given), `environment` and `occurred_at` (ISO 8601, UTC). All are always there. Where
    `event_payload` has one of them too, it stands only where the request itself has no value for it.

    Args:
        request: What happened.
        topic: Where events of its type go.
        environment: The setting of that name.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR when JSON cannot hold the payload, or no broker would take its size.
    """
    event_id, now = uuid4(), datetime.now(UTC).isoformat()
    own = {
        "event_type": request.event_type.value,
        "package_id": request.package_id,
        "container_name": request.container_name,
        "image_tag": request.image_tag,
        "correlation_id": request.correlation_id,
        "environment": environment,
        "occurred_at": now,
    }
    payload = own | request.event_payload | {key: value for key, value in own.items() if value is not None}
    key = request.package_id or request.correlation_id or str(event_id)
    value = _encode(_envelope(event_id, now, request.correlation_id, topic, payload))
    if (size := len(key) + len(value)) > MAX_EVENT_BYTES:
        raise DeploymentSenderError(
            ErrorCode.VALIDATION_ERROR,
            f"the event has {size:,} bytes, and a broker takes {MAX_EVENT_BYTES:,}",
            recovery="Put what is large elsewhere, and its address into event_payload.",
        )
    return Event(event_id=str(event_id), event_type=request.event_type.value, topic=topic.name, key=key, value=value)


def _envelope(
    event_id: UUID, now: str, correlation_id: str | None, topic: TopicSpec, payload: dict[str, Any]
) -> dict[str, Any]:
    """Every field of the model that its oldest reader knows, with the model's own defaults."""
    return {
        "payload": payload,
        "envelope_id": str(event_id),
        "envelope_timestamp": now,
        "correlation_id": _as_uuid(correlation_id),
        "source_tool": _SOURCE_TOOL,
        "target_tool": None,
        "metadata": {
            "trace_id": None,
            "span_id": None,
            "parent_span_id": None,
            "request_id": None,
            "headers": {},
            "tags": {},
        },
        "security_context": None,
        "event_type": topic.envelope_event_type,
        "payload_type": None,
        "payload_schema_version": None,
        "priority": 5,
        "timeout_seconds": None,
        "retry_count": 0,
        "request_id": None,
        "trace_id": None,
        "span_id": None,
        "tenant_id": None,
        "onex_version": {"major": 1, "minor": 0, "patch": 0},
        "envelope_version": {"major": 2, "minor": 3, "patch": 0},
    }


def _as_uuid(correlation_id: str | None) -> str | None:
    """The envelope takes UUIDs only; any other id becomes one, always the same."""
    if correlation_id is None:
        return None
    try:
        return str(UUID(correlation_id))
    except ValueError:
        return str(uuid5(CORRELATION_NAMESPACE, correlation_id))


def _encode(envelope: dict[str, Any]) -> bytes:
    try:
        return _JSON.encode(envelope).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise DeploymentSenderError(
            ErrorCode.VALIDATION_ERROR,
            f"event_payload holds what JSON cannot: {exc}",
            recovery="Put times in as ISO 8601 text, bytes as base64 text, sets as lists; leave NaN and infinity out.",
        ) from exc
