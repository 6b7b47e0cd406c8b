"""A shipment whose package or events fail; `test_ship` has the ones that succeed."""

import io
from typing import NoReturn, cast

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.console import Console
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.shipment import Shipment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode, InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelContainerPackageInput,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
)


class Node:
    """Fails to package, and cannot store events."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.published: list[ModelKafkaPublishInput] = []

    async def package_container(self, request: object, *, on_progress: object) -> NoReturn:
        raise self.error

    async def publish_transfer_event(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        self.published.append(request)
        return ModelKafkaPublishOutput(
            success=False,
            event_published=False,
            error_code=ErrorCode.KAFKA_PUBLISH_FAILED,
            error_message="the disk is full",
        )


@pytest.fixture
def node() -> Node:
    """A node that refuses to package."""
    return Node(InvalidInputError("the Dockerfile is missing", recovery="Find it."))


@pytest.fixture
def stderr() -> io.StringIO:
    """The output for people beside the result."""
    return io.StringIO()


@pytest.fixture
def shipment(node: Node, stderr: io.StringIO) -> Shipment:
    """The shipment of that node."""
    build = ModelContainerPackageInput(container_name="a", image_tag="1", build_context=".", correlation_id="c-1")
    return Shipment(cast("NodeDeploymentSenderEffect", node), Console(stderr=stderr), build)


async def test_a_late_validation_error_is_published_as_a_failure(node: Node, shipment: Shipment) -> None:
    """It is raised, too."""
    with pytest.raises(InvalidInputError, match="the Dockerfile is missing"):
        await shipment.package()
    started, failed = node.published

    assert ("BUILD_STARTED", "DEPLOYMENT_FAILED", "c-1") == (
        started.event_type,
        failed.event_type,
        failed.correlation_id,
    )
    assert {
        "error_code": "VALIDATION_ERROR",
        "error_message": "the Dockerfile is missing",
        "recovery": "Find it.",
    } == failed.event_payload


async def test_an_event_that_cannot_be_stored_is_reported_as_lost(shipment: Shipment, stderr: io.StringIO) -> None:
    """The shipment continues."""
    with pytest.raises(InvalidInputError):
        await shipment.package()

    assert "the event BUILD_STARTED is lost: KAFKA_PUBLISH_FAILED: the disk is full\n" in stderr.getvalue()
