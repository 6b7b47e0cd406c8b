"""A shipment when something is not as it should be; how it should be, `test_ship` shows."""

import io
from typing import NoReturn, cast

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.console import Console
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.shipment import Shipment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelContainerPackageInput,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
)


class Node:
    """Raises when it is to package; has no place for events."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.told: list[ModelKafkaPublishInput] = []

    async def package_container(self, request: object, *, on_progress: object) -> NoReturn:
        raise self.error

    async def publish_transfer_event(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        self.told.append(request)
        return ModelKafkaPublishOutput(
            success=False,
            event_published=False,
            error_code=ErrorCode.KAFKA_PUBLISH_FAILED,
            error_message="the disk is full",
        )


@pytest.fixture
def node() -> Node:
    """One whose package was refused."""
    return Node(DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "the Dockerfile has gone", recovery="Look for it."))


@pytest.fixture
def said() -> io.StringIO:
    """What is told to people besides the result."""
    return io.StringIO()


@pytest.fixture
def journey(node: Node, said: io.StringIO) -> Shipment:
    """The shipment of that node."""
    build = ModelContainerPackageInput(container_name="a", image_tag="1", build_context=".", correlation_id="c-1")
    return Shipment(cast("NodeDeploymentSenderEffect", node), Console(stderr=said), build)


async def test_a_mistake_that_shows_late_is_told_as_a_failure(node: Node, journey: Shipment) -> None:
    """And raised all the same."""
    with pytest.raises(DeploymentSenderError, match="the Dockerfile has gone"):
        await journey.package()
    started, failed = node.told

    assert ("BUILD_STARTED", "DEPLOYMENT_FAILED", "c-1") == (
        started.event_type,
        failed.event_type,
        failed.correlation_id,
    )
    assert {
        "error_code": "VALIDATION_ERROR",
        "error_message": "the Dockerfile has gone",
        "recovery": "Look for it.",
    } == failed.event_payload


async def test_an_event_that_nobody_keeps_is_said_to_be_lost(journey: Shipment, said: io.StringIO) -> None:
    """The shipment goes on."""
    with pytest.raises(DeploymentSenderError):
        await journey.package()

    assert "the event BUILD_STARTED is lost: KAFKA_PUBLISH_FAILED: the disk is full\n" in said.getvalue()
