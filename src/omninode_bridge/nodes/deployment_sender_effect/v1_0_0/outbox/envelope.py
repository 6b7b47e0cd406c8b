"""Builds the event of a request: a topic, a key and the ONEX envelope as compact UTF-8 JSON.

The envelope is `ModelEventEnvelope` of omnibase_core 0.47.57 (models/events/model_event_envelope.py). It is written by
hand, as that package is not a dependency; tests/onex compares it with the real class. `producer` and
`parent_envelope_id` are left out: that class forbids unknown keys, and releases before 0.47 do not have these two.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from ..contract import TopicSpec
from ..errors import InvalidInputError
from ..models import ModelKafkaPublishInput

__all__ = ["CORRELATION_NAMESPACE", "MAX_EVENT_BYTES", "Event", "build_event"]

MAX_EVENT_BYTES = (1 << 20) - 1_024  # 1 MiB without 1 KiB
"""Key and value together, in bytes.

A broker's default `message.max.bytes` is 1,048,588 for a record batch (kafka.apache.org/documentation, broker
configs), aiokafka's default `max_request_size` 1,048,576 for a record. A batch of one record adds at most 61 + 36 bytes
(record batch format, version 2); the rest of the 1,024 is slack.
"""

CORRELATION_NAMESPACE = UUID("7892e3f4-9e3e-5537-b2bb-215ba82fb9d5")
"""Namespace of correlation ids that are not UUIDs: `uuid5(NAMESPACE_DNS, "correlation.deployment-sender")`."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SOURCE_TOOL = "deployment-sender"


@dataclass(frozen=True, slots=True)
class Event:
    """One event for the broker.

    Attributes:
        event_id: The envelope's `envelope_id`; consumers dedupe on it.
        event_type: As in the request.
        topic: Where it goes.
        key: The Kafka key: events of one key are delivered in order.
        value: The envelope, UTF-8 JSON.
    """

    event_id: str
    event_type: str
    topic: str
    key: str
    value: bytes


def build_event(request: ModelKafkaPublishInput, topic: TopicSpec, environment: str) -> Event:
    """Build the event of a request.

    The payload is `event_payload` and these keys: `event_type`, `package_id`, `container_name`, `image_tag`,
    `correlation_id` (as given), `environment` and `occurred_at` (ISO 8601, UTC). All are always present. If
    `event_payload` has one of them too, its value is used only if the request itself has none.

    Args:
        request: The event's type, payload and package.
        topic: Where events of its type go.
        environment: The setting of that name.

    Raises:
        InvalidInputError: The payload cannot be written as JSON, or is larger than brokers accept.
    """
    event_id, now = uuid4(), datetime.now(UTC).isoformat()
    fields = {
        "event_type": request.event_type.value,
        "package_id": request.package_id,
        "container_name": request.container_name,
        "image_tag": request.image_tag,
        "correlation_id": request.correlation_id,
        "environment": environment,
        "occurred_at": now,
    }
    payload = fields | request.event_payload | {key: value for key, value in fields.items() if value is not None}
    key = request.package_id or request.correlation_id or str(event_id)
    value = _encode(_envelope(event_id, now, request.correlation_id, topic, payload))
    if (size := len(key) + len(value)) > MAX_EVENT_BYTES:
        raise InvalidInputError(
            f"the event has {size:,} bytes; the limit is {MAX_EVENT_BYTES:,}",
            recovery="Store large values elsewhere, and put their address into event_payload.",
        )
    return Event(event_id=str(event_id), event_type=request.event_type.value, topic=topic.name, key=key, value=value)


def _envelope(
    event_id: UUID, now: str, correlation_id: str | None, topic: TopicSpec, payload: dict[str, Any]
) -> dict[str, Any]:
    """Return every field that all supported versions of the model have, with the model's own defaults."""
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
    """Return an id as a UUID, which the envelope requires; the same id always becomes the same UUID."""
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
        raise InvalidInputError(
            f"event_payload has a value that JSON cannot represent: {exc}",
            recovery="Use ISO 8601 text for times, base64 text for bytes, lists for sets; leave out NaN and infinity.",
        ) from exc
