"""The envelope, held against the real `ModelEventEnvelope` of omnibase_core."""

import importlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import EventType, ModelKafkaPublishInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import CORRELATION_NAMESPACE, build_event

PACKAGE_ID = "0b54cb3c-6d0f-4a07-9d2b-8d2f4c0a1c11"
# Left out where nothing sets them: readers older than these two fields forbid them.
LEFT_OUT = {"producer", "parent_envelope_id"}


def model() -> Any:
    """The class; the environment that checks types does not have it."""
    return importlib.import_module("omnibase_core.models.events.model_event_envelope").ModelEventEnvelope


def value(event_type: EventType = EventType.BUILD_COMPLETED, **fields: Any) -> bytes:
    """What goes to the broker."""
    request = ModelKafkaPublishInput.read({"event_type": event_type, "package_id": PACKAGE_ID} | fields)
    return build_event(request, load_contract().topics[event_type], "production").value


@pytest.mark.parametrize("event_type", EventType)
def test_the_real_class_reads_the_envelope(event_type: EventType) -> None:
    """Of every type of event."""
    read = model().model_validate_json(value(event_type))

    assert f"deployment-sender.{event_type.lower().replace('_', '-')}" == read.event_type
    assert (PACKAGE_ID, event_type) == (read.payload["package_id"], read.payload["event_type"])


def test_it_reads_what_was_written() -> None:
    """Nothing is lost or changed on the way."""
    before = datetime.now(UTC)
    written = value(event_payload={"size": 12, "name": "Grüße"}, correlation_id=PACKAGE_ID)

    read = model().model_validate_json(written)

    envelope = json.loads(written)
    assert envelope["payload"] == read.payload
    assert (UUID(envelope["envelope_id"]), UUID(PACKAGE_ID)) == (read.envelope_id, read.correlation_id)
    assert before - timedelta(milliseconds=1) <= read.envelope_timestamp <= datetime.now(UTC)


def test_a_correlation_id_that_is_no_uuid_is_read_as_one() -> None:
    """The real class takes nothing else."""
    read = model().model_validate_json(value(correlation_id="deploy-001"))

    assert uuid5(CORRELATION_NAMESPACE, "deploy-001") == read.correlation_id
    assert "deploy-001" == read.payload["correlation_id"]


def test_an_event_without_a_correlation_id_has_none() -> None:
    """It is optional."""
    assert model().model_validate_json(value()).correlation_id is None


def test_the_envelope_has_every_field_of_the_real_class() -> None:
    """But those that older readers forbid."""
    assert set(model().model_fields) - LEFT_OUT == set(json.loads(value()))


def test_what_is_not_ours_to_say_has_the_real_classes_default() -> None:
    """Versions, priority, metadata and the rest."""
    ours = model().model_validate_json(value()).model_dump(mode="json")
    default = model()(payload={}).model_dump(mode="json")
    own = {"payload", "envelope_id", "envelope_timestamp", "correlation_id", "source_tool", "event_type"}

    assert {key: default[key] for key in default.keys() - own} == {key: ours[key] for key in ours.keys() - own}
