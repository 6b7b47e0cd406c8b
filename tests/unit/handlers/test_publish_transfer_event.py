"""An event goes into the outbox and to the broker, with a broker in memory."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ERRORS,
    ErrorCode,
    InvalidInputError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.publish_transfer_event import (
    PublishTransferEventHandler,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    EventType,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers, Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.kafka.publisher import FakeBroker, FakePublisher, Fault
from support.process.clock import put_forward

PACKAGE_ID = "0b54cb3c-6d0f-4a07-9d2b-8d2f4c0a1c11"


class House:
    """A handler with an outbox in a temporary folder and a broker in memory."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.broker = FakeBroker()
        self.folder = folder / "store"
        settings = DeploymentSenderSettings.load({"package_dir": str(self.folder), "environment": "test"} | values, {})
        self.resources = Resources(settings, Openers(publisher=self._open))
        self.handler = PublishTransferEventHandler(self.resources)

    async def _open(self, settings: DeploymentSenderSettings) -> FakePublisher:
        return await self.broker.open()

    async def publish(self, event_type: str = "BUILD_STARTED", **fields: object) -> ModelKafkaPublishOutput:
        """Publish an event of the package."""
        return await self.handler.handle(
            ModelKafkaPublishInput.read({"event_type": event_type, "package_id": PACKAGE_ID} | fields)
        )

    def figures(self) -> list[int | float | None]:
        """Return the numbers of successful and failed publishes, and of published events."""
        figures = self.resources.metrics.snapshot()
        return [figures[name] for name in ("successful_publishes", "failed_publishes", "total_events_published")]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Make a handler with a broker."""
    house = House(tmp_path, kafka_bootstrap_servers="broker:9092")
    yield house
    await house.resources.close()


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[House]:
    """Make a handler without a broker."""
    house = House(tmp_path)
    yield house
    await house.resources.close()


async def test_an_acknowledged_event_is_published(house: House) -> None:
    """The output has its partition and offset."""
    await house.publish()

    output = await house.publish(correlation_id="deploy-001")

    assert (True, True, False) == (output.success, output.event_published, output.queued)
    assert (0, 1, "deploy-001") == (output.partition, output.offset, output.correlation_id)
    assert (None, None, None) == (output.error_code, output.error_message, output.recovery)
    assert output.publish_duration_ms is not None
    assert 0 < output.publish_duration_ms


async def test_the_output_names_the_event_that_was_sent(house: House) -> None:
    """Id, topic and key are the same."""
    output = await house.publish(event_payload={"size": 12})

    (record,) = house.broker.records
    envelope = json.loads(record.value)
    assert (output.topic, PACKAGE_ID) == (record.topic, record.key)
    assert output.event_id == envelope["envelope_id"]
    assert (12, "test") == (envelope["payload"]["size"], envelope["payload"]["environment"])


@pytest.mark.parametrize("event_type", EventType)
async def test_every_type_has_a_topic_of_the_contract(house: House, event_type: EventType) -> None:
    """The topic has the name of the type."""
    output = await house.publish(event_type)

    name = event_type.lower().replace("_", "-")
    assert f"onex.evt.deployment-sender.{name}.v1" == output.topic


async def test_without_a_broker_an_event_waits_without_failure(alone: House) -> None:
    """The event is in the outbox only."""
    output = await alone.publish()

    assert (True, False, True) == (output.success, output.event_published, output.queued)
    assert (None, None, None) == (output.partition, output.offset, output.publish_duration_ms)
    assert output.event_id is not None
    assert (alone.folder / "outbox.sqlite3").exists()
    assert [1, 0, 0] == alone.figures()
    assert 0 == alone.broker.opened


async def test_a_broker_that_does_not_respond_is_a_failure_and_the_event_waits(house: House) -> None:
    """The output says so, and what to do."""
    house.broker.down = True

    output = await house.publish(correlation_id="deploy-001")

    assert (False, False, True) == (output.success, output.event_published, output.queued)
    assert (ErrorCode.KAFKA_PUBLISH_FAILED, "the broker does not respond") == (output.error_code, output.error_message)
    assert ERRORS[ErrorCode.KAFKA_PUBLISH_FAILED].recovery == output.recovery
    assert (None, None, "deploy-001") == (output.partition, output.offset, output.correlation_id)
    assert output.publish_duration_ms is not None
    assert output.event_id is not None


async def test_the_deadline_is_the_settings(tmp_path: Path) -> None:
    """It holds for a broker that hangs, too."""
    house = House(tmp_path, kafka_bootstrap_servers="broker:9092", publish_timeout_seconds=60)
    house.broker.stuck = True

    publishing = asyncio.ensure_future(house.publish())
    await house.broker.connecting()
    put_forward(60)
    output = await publishing
    await house.resources.close()

    assert (False, True) == (output.success, output.queued)
    assert "the broker did not acknowledge the event within 60 s" == output.error_message


async def test_an_event_that_the_broker_always_refuses_does_not_wait(house: House) -> None:
    """It is set aside."""
    house.broker.script(PACKAGE_ID, Fault.NEVER)

    output = await house.publish()

    assert (False, False, "too large") == (output.success, output.queued, output.error_message)


async def test_an_outbox_that_cannot_be_written_is_a_failure_and_nothing_waits(house: House) -> None:
    """The event is not kept."""
    house.folder.write_bytes(b"")

    output = await house.publish()

    assert (False, False, False) == (output.success, output.event_published, output.queued)
    assert ErrorCode.KAFKA_PUBLISH_FAILED == output.error_code
    assert "outbox" in (output.error_message or "")
    assert [] == house.broker.records


async def test_a_payload_that_json_cannot_hold_is_the_callers_mistake(house: House) -> None:
    """Nothing was written, and nothing is counted."""
    with pytest.raises(InvalidInputError):
        await house.publish(event_payload={"when": object()})

    assert not house.folder.exists()
    assert [0, 0, 0] == house.figures()


async def test_every_event_that_the_broker_acknowledged_is_counted(house: House) -> None:
    """The next delivery also counts those that waited."""
    house.broker.down = True
    await house.publish()
    await house.publish()
    house.broker.down = False

    await house.publish()

    assert [1, 2, 3] == house.figures()


async def test_the_node_stays_usable_after_a_failure(house: House) -> None:
    """The next call works."""
    house.broker.script(PACKAGE_ID, Fault.REFUSED)
    await house.publish()

    assert (await house.publish()).event_published


async def test_the_log_names_the_event_and_not_its_payload(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged once."""
    house.broker.script(PACKAGE_ID, Fault.REFUSED)
    with caplog.at_level(logging.INFO, "omninode_bridge"):
        await house.publish(event_payload={"note": "private"})

    assert 1 == len(caplog.records)
    assert f"publishes of BUILD_STARTED of {PACKAGE_ID} failed" in caplog.text
    assert "private" not in caplog.text
