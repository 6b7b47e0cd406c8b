"""From a request to its event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import TopicSpec
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelKafkaPublishInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import (
    CORRELATION_NAMESPACE,
    MAX_EVENT_BYTES,
    Event,
    build_event,
)

TOPIC = TopicSpec("BUILD_STARTED", "onex.evt.deployment-sender.build-started.v1", "deployment-sender.build-started")
PACKAGE_ID = "0b54cb3c-6d0f-4a07-9d2b-8d2f4c0a1c11"


def event(**fields: Any) -> Event:
    """Return the event of a request with these fields."""
    return build_event(ModelKafkaPublishInput.read({"event_type": "BUILD_STARTED"} | fields), TOPIC, "production")


def envelope(**fields: Any) -> dict[str, Any]:
    """Return its envelope."""
    read: dict[str, Any] = json.loads(event(**fields).value)
    return read


def payload(**fields: Any) -> dict[str, Any]:
    """Return its payload, without the time."""
    found: dict[str, Any] = envelope(**fields)["payload"]
    del found["occurred_at"]
    return found


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circular() -> list[Any]:
    """Return a list that contains itself."""
    value: list[Any] = []
    value.append(value)
    return value


def test_the_payload_is_the_callers_with_the_fields_of_the_request() -> None:
    """And the environment."""
    assert {
        "event_type": "BUILD_STARTED",
        "package_id": PACKAGE_ID,
        "container_name": "hello",
        "image_tag": "1.0",
        "correlation_id": "deploy-001",
        "environment": "production",
        "size": 12,
    } == payload(
        event_payload={"size": 12},
        package_id=PACKAGE_ID,
        container_name="hello",
        image_tag="1.0",
        correlation_id="deploy-001",
    )


def test_the_requests_own_values_win() -> None:
    """Consumers can trust them."""
    given = {"event_type": "X", "package_id": "other", "environment": "mine", "occurred_at": "never"}

    found = envelope(event_payload=given, package_id=PACKAGE_ID)["payload"]

    assert ("BUILD_STARTED", PACKAGE_ID, "production") == (
        found["event_type"],
        found["package_id"],
        found["environment"],
    )
    assert "never" != found["occurred_at"]


def test_without_a_value_in_the_request_the_callers_stays() -> None:
    """It is not overwritten with null."""
    assert "hello" == payload(event_payload={"container_name": "hello"})["container_name"]


def test_every_key_is_present() -> None:
    """With null if there is no value."""
    assert {
        "event_type": "BUILD_STARTED",
        "package_id": None,
        "container_name": None,
        "image_tag": None,
        "correlation_id": None,
        "environment": "production",
    } == payload()


def test_the_envelope_has_the_time_in_utc() -> None:
    """The payload has the same."""
    before = datetime.now(UTC)
    found = envelope()
    when = datetime.fromisoformat(found["envelope_timestamp"])

    assert found["envelope_timestamp"] == found["payload"]["occurred_at"]
    assert timedelta(0) == when.utcoffset()
    assert before - timedelta(milliseconds=1) <= when <= datetime.now(UTC)  # it is written in milliseconds


def test_topic_and_types_come_from_the_contract() -> None:
    """The envelope has the routing key, the event the name that callers use."""
    found = event()

    assert (TOPIC.name, "BUILD_STARTED") == (found.topic, found.event_type)
    assert TOPIC.envelope_event_type == json.loads(found.value)["event_type"]


def test_the_event_id_is_the_envelopes() -> None:
    """It is a new one each time."""
    one, other = event(), event()

    assert one.event_id == json.loads(one.value)["envelope_id"]
    assert one.event_id != other.event_id


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"package_id": PACKAGE_ID, "correlation_id": "deploy-001"}, PACKAGE_ID),
        ({"correlation_id": "deploy-001"}, "deploy-001"),
    ],
)
def test_the_key_is_the_package_or_else_the_correlation_id(fields: dict[str, str], key: str) -> None:
    """Events of one key stay in order."""
    assert key == event(**fields).key


def test_without_either_the_key_is_the_events_own_id() -> None:
    """Such an event has no order to keep."""
    found = event()

    assert found.event_id == found.key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111", "6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111"),
        ("6F0A1C522D0C4A6E9A550D8AE0F3A111", "6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111"),
        ("deploy-001", str(uuid5(CORRELATION_NAMESPACE, "deploy-001"))),
    ],
)
def test_the_envelopes_correlation_id_is_a_uuid(given: str | None, expected: str | None) -> None:
    """Any other id becomes one, always the same."""
    assert expected == envelope(correlation_id=given)["correlation_id"]


def test_the_payload_keeps_the_correlation_id_as_it_was_given() -> None:
    """A person searches for that one."""
    assert "deploy-001" == payload(correlation_id="deploy-001")["correlation_id"]


def test_the_namespace_is_derived_as_documented() -> None:
    """So others can compute the same ids."""
    assert CORRELATION_NAMESPACE == uuid5(NAMESPACE_DNS, "correlation.deployment-sender")
    assert CORRELATION_NAMESPACE == UUID("7892e3f4-9e3e-5537-b2bb-215ba82fb9d5")


def test_the_value_is_compact_utf_8() -> None:
    """It has no escapes and no blanks."""
    assert '"name":"Grüße 🚀"' in event(event_payload={"name": "Grüße 🚀"}).value.decode()


@pytest.mark.parametrize(
    "value",
    [
        datetime(2025, 1, 1, tzinfo=UTC),
        b"secret",
        {"secret"},
        float("nan"),
        float("inf"),
        "\ud800",
        {("secret",): 1},
        nested(100_000),
        circular(),
        object(),
        10**5000,
    ],
    ids=["datetime", "bytes", "set", "nan", "inf", "surrogate", "tuple key", "deep", "circular", "object", "huge int"],
)
def test_a_value_that_json_cannot_represent_is_the_callers_mistake(value: object) -> None:
    """It is reported before anything is written, without the value."""
    with pytest.raises(InvalidInputError) as caught:
        event(event_payload={"value": value})

    assert "secret" not in caught.value.message


def test_an_event_over_the_limit_is_the_callers_mistake() -> None:
    """It is reported before anything is written."""
    with pytest.raises(InvalidInputError, match="the limit is 1,047,552"):
        event(event_payload={"value": "x" * MAX_EVENT_BYTES})


def test_an_event_of_exactly_the_limit_is_accepted() -> None:
    """Key and value count together."""
    room = MAX_EVENT_BYTES - len(event(event_payload={"value": ""}).value) - 36

    found = event(event_payload={"value": "x" * room})

    assert MAX_EVENT_BYTES == len(found.key) + len(found.value)
