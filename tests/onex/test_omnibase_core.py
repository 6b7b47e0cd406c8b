"""contract.yaml, contracts and containers, held against the real omnibase_core."""

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.onex import read_container, read_contract

ROOT = Path(__file__).parents[2]
CORRELATION_ID = UUID("6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111")
INPUT = {
    "container_name": "hello",
    "image_tag": "1.0.0",
    "build_args": {"PYTHON_VERSION": "3.11"},
    "labels": {},
    "no_cache": False,
}


def core(module: str) -> Any:
    """A module of omnibase_core; the environment that checks types does not have it."""
    return importlib.import_module(f"omnibase_core.{module}")


def verdict(tmp_path: Path, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> tuple[str, str, bool]:
    """Bucket, mode and answer of the strict validator, for contract.yaml after an edit."""
    data = yaml.safe_load((ROOT / "contract.yaml").read_text())
    edit(data)
    # The validator looks at contracts of nodes only, and knows them by this path.
    path = tmp_path / "nodes" / "deployment_sender_effect" / "contract.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(data))
    report = core("normalization.contract_validator").validate_contract_file(path)
    return report.bucket.name, report.mode.name, report.passed


def real_contract(state: dict[str, Any]) -> Any:
    """A contract as an ONEX orchestrator makes it."""
    return core("models.contracts.model_contract_effect").ModelContractEffect(
        name="deployment_sender_effect",
        contract_version={"major": 1, "minor": 0, "patch": 0},
        description="One call.",
        node_type="EFFECT_GENERIC",
        input_model="m.ModelIn",
        output_model="m.ModelOut",
        io_operations=[{"operation_type": "package_container"}],
        input_state=state,
        correlation_id=CORRELATION_ID,
    )


def test_contract_is_valid(tmp_path: Path) -> None:
    """contract.yaml passes the strict validator, and as a node's contract."""
    assert ("NODE_ROOT_CONTRACT", "STRICT", True) == verdict(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.pop("io_operations"),
        lambda data: data.update(metadata={}),
        lambda data: data.update(input_model={"name": "ModelContractEffect"}),
        lambda data: data["event_bus"]["publish_topics"].append("dev.onex.evt.deployment-sender.built.v1"),
        lambda data: data["handler_routing"]["handlers"].append({"operation": "another"}),
        lambda data: data["yaml_published_events"][0].update(description="more"),
    ],
)
def test_the_validator_bites(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """A contract that the schema forbids does not pass, so the test above can fail."""
    assert ("NODE_ROOT_CONTRACT", "STRICT", False) == verdict(tmp_path, edit)


def test_schema_and_loader_agree() -> None:
    """The real model of the file names the same operations and events as our loader."""
    text = (ROOT / "contract.yaml").read_text()
    real = core("models.contracts.model_contract_effect").ModelContractEffect.from_yaml(text)
    ours = load_contract()

    assert [entry.operation_type for entry in real.io_operations] == list(ours.operations)
    assert set(real.handler_routing.build_routing_table()) == set(ours.operations)
    assert {entry.event_type: entry.topic for entry in real.yaml_published_events} == {
        topic.envelope_event_type: topic.name for topic in ours.topics.values()
    }


@pytest.mark.parametrize("event_type", load_contract().topics)
def test_topic_names(event_type: str) -> None:
    """Each topic follows the naming rules, with this node for its producer and the envelope's type in it."""
    topic = load_contract().topics[event_type]
    result = core("validation.validator_topic_suffix").validate_topic_suffix(topic.name)

    assert result.is_valid
    assert f"{result.parsed.producer}.{result.parsed.event_name}" == topic.envelope_event_type


def test_real_contract() -> None:
    """A real ModelContractEffect is read as it is, nested input and all."""
    call = read_contract(real_contract({"operation": "package_container", "input": INPUT}))

    assert "package_container" == call.operation
    assert INPUT == dict(call.input)
    assert str(CORRELATION_ID) == call.correlation_id


def test_real_container() -> None:
    """A real ModelContainer is read as it is."""
    settings = {"package_dir": "/packages", "environment": "production"}
    container = core("models.core.model_container").ModelContainer(value=settings, container_type="config")

    assert settings == dict(read_container(container))


def test_is_discovered() -> None:
    """`onex discover` lists the node by its entry point."""
    found = core("discovery.discovery_external_nodes").discover_external_nodes(strict=True)
    node = found[yaml.safe_load((ROOT / "contract.yaml").read_text())["name"]]

    assert "omninode-deployment-sender" == node.package_name
    assert importlib.metadata.version("omninode-deployment-sender") == node.package_version
    assert node.entry_point_value.endswith(".v1_0_0:NodeDeploymentSenderEffect")


def test_is_not_needed_at_run_time() -> None:
    """Reading a contract does not import omnibase_core, even where it is installed."""
    program = (
        "import sys;"
        "from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract;"
        "from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.onex import read_contract;"
        "load_contract(); read_contract({'input_data': {'operation': 'get_metrics'}});"
        "sys.exit('omnibase_core' in sys.modules)"
    )

    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode
