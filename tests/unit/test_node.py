"""The node: routing, correlation ids, public errors, life cycle."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    DeploymentSenderError,
    ErrorCode,
    EventType,
    ModelContainer,
    ModelContainerPackageInput,
    ModelContainerPackageOutput,
    ModelContractEffect,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    NodeDeploymentSenderEffect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers import Handlers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers, Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.engine.engines import FakeEngine
from support.sending.target import FakeTargets


class World:
    """A node with an engine and a receiver in memory."""

    def __init__(self, tmp_path: Path) -> None:
        self.engine = FakeEngine()
        self.targets = FakeTargets()
        self.context = tmp_path / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text("FROM scratch\n")
        self.node = NodeDeploymentSenderEffect(
            ModelContainer(value={"package_dir": str(tmp_path / "data")}),
            openers=Openers(engine=self._engine, targets=self._targets),
        )

    async def _engine(self, settings: DeploymentSenderSettings) -> FakeEngine:
        return self.engine

    async def _targets(self, settings: DeploymentSenderSettings) -> FakeTargets:
        return self.targets

    def image(self) -> dict[str, Any]:
        """Return the input of a package."""
        return {"container_name": "hello", "image_tag": "1.0", "build_context": str(self.context)}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Make a node, and close it after the test."""
    world = World(tmp_path)
    yield world
    await world.node.cleanup()


def contract(operation: str, correlation_id: str | None = None, **fields: object) -> ModelContractEffect:
    """Return a contract as an orchestrator writes it."""
    return ModelContractEffect(input_data={"operation": operation, "input": fields}, correlation_id=correlation_id)


def test_every_operation_of_the_contract_has_its_handler(tmp_path: Path) -> None:
    """No handler is without an operation, either."""
    handlers = Handlers(Resources(DeploymentSenderSettings.load({"package_dir": str(tmp_path)}, {})))

    assert list(load_contract().operations) == list(handlers.by_operation)


async def test_making_a_node_touches_nothing(tmp_path: Path) -> None:
    """It makes no folder and opens no client; closing it then does nothing."""
    node = NodeDeploymentSenderEffect(ModelContainer(value={"package_dir": str(tmp_path / "data")}))
    await node.cleanup()

    assert [] == list(tmp_path.iterdir())


async def test_the_four_operations_by_contract(world: World) -> None:
    """Each returns its own model."""
    async with world.node as node:
        package = await node.execute_effect(contract("package_container", "c-1", **world.image()))
        assert isinstance(package, ModelContainerPackageOutput)
        assert (True, "c-1") == (package.success, package.correlation_id)

        transfer = await node.execute_effect(
            contract(
                "transfer_package",
                "c-1",
                package_id=package.package_id,
                remote_receiver_url="http://edge",
                wait_for="received",
            )
        )
        assert isinstance(transfer, ModelPackageTransferOutput)
        assert (True, "d-1", "c-1") == (transfer.success, transfer.remote_deployment_id, transfer.correlation_id)

        event = await node.execute_effect(contract("publish_transfer_event", "c-1", event_type="BUILD_STARTED"))
        assert isinstance(event, ModelKafkaPublishOutput)
        assert (True, True, "c-1") == (event.success, event.queued, event.correlation_id)

        figures = await node.execute_effect(contract("get_metrics"))
        assert isinstance(figures, dict)
        assert (1, 1) == (figures["successful_builds"], figures["successful_transfers"])
    assert ("close", 1) == (world.engine.calls[-1], world.targets.closed)


async def test_the_four_operations_by_typed_method(world: World) -> None:
    """Programs without contracts call the methods."""
    async with world.node as node:
        package = await node.package_container(ModelContainerPackageInput(**world.image()))
        assert package.package_id is not None
        transfer = await node.transfer_package(
            ModelPackageTransferInput(
                package_id=package.package_id, remote_receiver_url="http://edge", wait_for="received"
            )
        )
        event = await node.publish_transfer_event(ModelKafkaPublishInput(event_type=EventType.BUILD_COMPLETED))
        figures = await node.get_metrics()

    assert (True, True, 1) == (transfer.success, event.success, figures["successful_builds"])


async def test_a_correlation_id_in_the_input_takes_precedence(world: World) -> None:
    """The input is more specific than the contract."""
    async with world.node as node:
        event = await node.execute_effect(
            ModelContractEffect(
                input_data={
                    "operation": "publish_transfer_event",
                    "input": {"event_type": "BUILD_STARTED", "correlation_id": "inner"},
                },
                correlation_id="outer",
            )
        )

    assert isinstance(event, ModelKafkaPublishOutput)
    assert "inner" == event.correlation_id


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"input_data": {"input": {}}}, "operation"),
        ({"input_data": {"operation": "fly_to_the_moon"}}, "fly_to_the_moon"),
        ({"input_data": {"operation": "package_container", "input": {"image_tag": "1.0"}}}, "container_name"),
        ({"input_data": {"operation": "get_metrics", "input": {"x": 1}}}, "x"),
    ],
)
async def test_a_wrong_contract_raises_an_error_that_names_the_problem(world: World, asked: object, word: str) -> None:
    """Nothing was done then."""
    with pytest.raises(DeploymentSenderError) as caught:
        await world.node.execute_effect(asked)

    assert (DeploymentSenderError, ErrorCode.VALIDATION_ERROR) == (type(caught.value), caught.value.code)
    assert [] == world.engine.calls
    assert word in caught.value.message


async def test_the_error_for_an_unknown_operation_names_the_known_ones(world: World) -> None:
    """The recovery is the next step."""
    with pytest.raises(DeploymentSenderError) as caught:
        await world.node.execute_effect({"input_data": {"operation": "x"}})

    assert (
        "Use one of package_container, transfer_package, publish_transfer_event, get_metrics." == caught.value.recovery
    )


async def test_cleaning_up_twice_and_after_a_failure_is_safe(world: World) -> None:
    """The node can be used again."""
    world.engine.fail("build", ErrorCode.BUILD_FAILED)
    await world.node.package_container(ModelContainerPackageInput(**world.image()))
    await world.node.cleanup()
    await world.node.cleanup()

    assert (await world.node.package_container(ModelContainerPackageInput(**world.image()))).success


async def test_operations_may_run_at_once(world: World) -> None:
    """One node can serve several callers."""
    async with world.node as node:
        results = await asyncio.gather(
            *(
                node.package_container(ModelContainerPackageInput(**world.image() | {"image_tag": f"{n}"}))
                for n in range(4)
            ),
            node.get_metrics(),
        )

    assert [True] * 4 == [result.success for result in results[:4] if isinstance(result, ModelContainerPackageOutput)]


@pytest.mark.parametrize("operation", ["package_container", "transfer_package", "publish_transfer_event"])
async def test_a_mistake_in_a_typed_call_raises_the_public_error(world: World, operation: str) -> None:
    """Only its code says what it is: the types inside are not public."""
    requests = {
        "package_container": ModelContainerPackageInput(**world.image() | {"build_context": "/absent"}),
        "transfer_package": ModelPackageTransferInput(package_id="7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        "publish_transfer_event": ModelKafkaPublishInput(
            event_type=EventType.BUILD_STARTED, event_payload={"text": "x" * 2_000_000}
        ),
    }

    with pytest.raises(DeploymentSenderError) as caught:
        await getattr(world.node, operation)(requests[operation])

    assert (DeploymentSenderError, ErrorCode.VALIDATION_ERROR) == (type(caught.value), caught.value.code)


def test_a_wrong_setting_raises_the_public_error() -> None:
    """The node is not made then, so nothing has to be closed."""
    with pytest.raises(DeploymentSenderError, match="compression") as caught:
        NodeDeploymentSenderEffect({"compression": "lzma"})

    assert (DeploymentSenderError, ErrorCode.VALIDATION_ERROR) == (type(caught.value), caught.value.code)


def _collect(world: World) -> None:
    del world.node
    gc.collect()


async def test_a_node_that_is_collected_with_open_clients_warns(tmp_path: Path) -> None:
    """The warning names the clients and the remedy."""
    world = World(tmp_path)
    await world.node.package_container(ModelContainerPackageInput(**world.image()))
    resources = world.node._resources

    with pytest.warns(ResourceWarning, match=r"open clients \(engine\): call `await node\.cleanup\(\)`"):
        _collect(world)

    await resources.close()


@pytest.mark.parametrize("use", [False, True])
async def test_a_node_without_open_clients_is_collected_in_silence(tmp_path: Path, use: bool) -> None:
    """It was never used, or it was closed."""
    world = World(tmp_path)
    if use:
        await world.node.package_container(ModelContainerPackageInput(**world.image()))
        await world.node.cleanup()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _collect(world)

    assert [] == [warning for warning in caught if warning.category is ResourceWarning]
