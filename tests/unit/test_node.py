"""The hall: routing, correlation ids, life cycle."""

import asyncio
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
    """A node, with the outside in memory."""

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
        """The input of a package."""
        return {"container_name": "hello", "image_tag": "1.0", "build_context": str(self.context)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The ordinary one."""
    return World(tmp_path)


def contract(operation: str, correlation_id: str | None = None, **fields: object) -> ModelContractEffect:
    """A contract, as an orchestrator writes it."""
    return ModelContractEffect(input_data={"operation": operation, "input": fields}, correlation_id=correlation_id)


def test_every_operation_of_the_contract_has_its_handler(tmp_path: Path) -> None:
    """And no handler is without one."""
    handlers = Handlers(Resources(DeploymentSenderSettings.load({"package_dir": str(tmp_path)}, {})))

    assert list(load_contract().operations) == list(handlers.by_operation())


async def test_making_a_node_touches_nothing(tmp_path: Path) -> None:
    """No folder, no client; and closing what was never used is safe."""
    node = NodeDeploymentSenderEffect(ModelContainer(value={"package_dir": str(tmp_path / "data")}))
    await node.cleanup()

    assert [] == list(tmp_path.iterdir())


async def test_the_four_operations_by_contract(world: World) -> None:
    """Each answers its own model."""
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
    """The same, for programs that have no contracts."""
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


async def test_a_correlation_id_in_the_input_wins(world: World) -> None:
    """It is nearer to the work."""
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
async def test_a_wrong_contract_raises_and_says_what_is_wrong(world: World, asked: object, word: str) -> None:
    """Nothing has happened in the world then."""
    with pytest.raises(DeploymentSenderError) as caught:
        await world.node.execute_effect(asked)

    assert (ErrorCode.VALIDATION_ERROR, []) == (caught.value.code, world.engine.calls)
    assert word in caught.value.message


async def test_an_unknown_operation_says_which_there_are(world: World) -> None:
    """The next step is in the error."""
    with pytest.raises(DeploymentSenderError) as caught:
        await world.node.execute_effect({"input_data": {"operation": "x"}})

    assert (
        "Ask for one of package_container, transfer_package, publish_transfer_event, get_metrics."
        == caught.value.recovery
    )


async def test_cleaning_up_twice_and_after_a_failure_is_safe(world: World) -> None:
    """And the node can be used again."""
    world.engine.fail("build", ErrorCode.BUILD_FAILED)
    await world.node.package_container(ModelContainerPackageInput(**world.image()))
    await world.node.cleanup()
    await world.node.cleanup()

    assert (await world.node.package_container(ModelContainerPackageInput(**world.image()))).success


async def test_operations_may_run_at_once(world: World) -> None:
    """One node serves many callers."""
    async with world.node as node:
        results = await asyncio.gather(
            *(
                node.package_container(ModelContainerPackageInput(**world.image() | {"image_tag": f"{n}"}))
                for n in range(4)
            ),
            node.get_metrics(),
        )

    assert [True] * 4 == [result.success for result in results[:4] if isinstance(result, ModelContainerPackageOutput)]
