"""contract.yaml agrees with the code; an error in it names the file and the key."""

import pkgutil
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import TopicSpec, _find, _read, load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import EventType, InputModel, OutputModel
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings

ROOT = Path(__file__).parents[2]
OPERATIONS = ["package_container", "transfer_package", "publish_transfer_event", "get_metrics"]
# The grammar of omnibase_core 0.47.57, utils/util_topic_suffix.py, TOPIC_SUFFIX_PATTERN.
TOPIC = re.compile(r"onex\.(cmd|evt|dlq|intent|snapshot)\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.v\d+")

Edit = Callable[[dict[str, Any]], object]


def raw() -> dict[str, Any]:
    """Return the file as plain data."""
    data = yaml.safe_load((ROOT / "contract.yaml").read_text())
    assert isinstance(data, dict)
    return data


def operations() -> dict[str, dict[str, str]]:
    """The operations of the file, by name."""
    found = raw()["config"]["operations"]
    assert isinstance(found, dict)
    return found


def refusal(tmp_path: Path, edit: Edit) -> str:
    """Return the error message for the contract after an edit, without the folder."""
    data = raw()
    edit(data)
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(InvalidInputError) as caught:
        _read(path)
    return caught.value.message.removeprefix(f"{tmp_path}/")


def test_operations() -> None:
    """The contract has the four operations."""
    assert OPERATIONS == list(load_contract().operations)


def test_operations_are_described() -> None:
    """Each operation has a sentence."""
    assert all(spec["description"].endswith(".") for spec in operations().values())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_input_models_exist(operation: str) -> None:
    """The dotted name of each input resolves to an input model."""
    assert issubclass(pkgutil.resolve_name(operations()[operation]["input_model"]), InputModel)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_output_models_exist(operation: str) -> None:
    """The dotted name of each output resolves to an output model, and that of the metrics to dict."""
    output_model = pkgutil.resolve_name(operations()[operation]["output_model"])

    assert issubclass(output_model, dict if operation == "get_metrics" else OutputModel)


@pytest.mark.parametrize("key", ["input_model", "output_model"])
def test_the_nodes_own_models_exist(key: str) -> None:
    """The names of the node's input and output models resolve to classes."""
    assert isinstance(pkgutil.resolve_name(raw()[key]), type)


def test_handlers_read_the_announced_models() -> None:
    """Each operation is routed to the class that reads the operation's input model."""
    routed = {
        entry["operation"]: pkgutil.resolve_name("{module}.{name}".format(**entry["handler"])).request_model
        for entry in raw()["handler_routing"]["handlers"]
    }

    assert {name: pkgutil.resolve_name(spec["input_model"]) for name, spec in operations().items()} == routed


def test_every_event_type_has_a_topic() -> None:
    """The contract has a topic for each event type that the input model accepts, and no other."""
    assert {event_type.value for event_type in EventType} == set(load_contract().topics)


def test_topic() -> None:
    """An event type has its Kafka topic and its name in the envelope."""
    assert (
        TopicSpec(
            event_type="TRANSFER_COMPLETED",
            name="onex.evt.deployment-sender.transfer-completed.v1",
            envelope_event_type="deployment-sender.transfer-completed",
        )
        == load_contract().topics["TRANSFER_COMPLETED"]
    )


@pytest.mark.parametrize("event_type", EventType)
def test_topics_follow_the_event_types(event_type: EventType) -> None:
    """Topic and envelope name are the event type in kebab case, in ONEX's grammar."""
    topic = load_contract().topics[event_type]
    kebab = event_type.lower().replace("_", "-")

    assert TOPIC.fullmatch(topic.name)
    assert f"deployment-sender.{kebab}" == topic.envelope_event_type
    assert f"onex.evt.{topic.envelope_event_type}.v1" == topic.name


def test_published_topics() -> None:
    """The event bus announces exactly the topics to which events are published."""
    assert raw()["event_bus"]["publish_topics"] == [topic.name for topic in load_contract().topics.values()]


def test_limits_are_the_settings_defaults() -> None:
    """A limit in the contract is the default of the setting of the same name."""
    limits = raw()["config"]["limits"]

    assert {name: DeploymentSenderSettings.model_fields[name].default for name in limits} == limits


def test_the_contract_has_every_limit() -> None:
    """A limit of the settings that the contract does not have would not be announced."""
    settings = DeploymentSenderSettings.model_fields
    limits = [name for name in settings if name.startswith("max_") or name.endswith("_seconds")]

    assert limits == list(raw()["config"]["limits"])


def test_time_outs_follow_from_the_limits() -> None:
    """Each operation's announced time-out is the sum of the limits that bound it."""
    settings = DeploymentSenderSettings()
    announced = {entry["operation_type"]: entry["timeout_seconds"] for entry in raw()["io_operations"]}

    assert {
        "package_container": settings.build_timeout_seconds + settings.export_silence_timeout_seconds,
        "transfer_package": settings.transfer_timeout_seconds + settings.deployment_timeout_seconds,
        "publish_transfer_event": settings.publish_timeout_seconds,
        "get_metrics": 1,
    } == announced


def test_one_call_does_all_the_attempts() -> None:
    """A caller need not retry: a transfer ends after its time, not after a number of attempts."""
    assert (1, None) == (raw()["retry_policies"]["max_attempts"], DeploymentSenderSettings().transfer_attempts)


def test_name_and_version_are_the_projects() -> None:
    """The contract's name is the entry point's and its version the distribution's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    contract = raw()

    assert {contract["name"]} == set(project["entry-points"]["onex.nodes"])
    assert project["version"] == "{major}.{minor}.{patch}".format(**contract["node_version"])


def test_is_read_once() -> None:
    """Every caller has the same contract."""
    assert load_contract() is load_contract()


def test_cannot_be_changed() -> None:
    """A reader cannot change what the others read."""
    with pytest.raises(TypeError):
        load_contract().topics["BUILD_STARTED"] = load_contract().topics["BUILD_COMPLETED"]  # type: ignore[index]


def test_the_packages_own_file_comes_first(tmp_path: Path) -> None:
    """An installed wheel reads its own file, even if a folder above has another one."""
    package = tmp_path / "package"
    package.mkdir()
    for folder in (tmp_path, package):
        (folder / "pyproject.toml").touch()
        (folder / "contract.yaml").touch()

    assert package / "contract.yaml" == _find(package)


def test_the_source_tree_has_it_at_its_top(tmp_path: Path) -> None:
    """A source tree has the file beside its pyproject.toml."""
    (tmp_path / "pyproject.toml").touch()

    assert tmp_path / "contract.yaml" == _find(tmp_path / "src" / "package")


def test_missing_file(tmp_path: Path) -> None:
    """The error for a missing file names its path in the package."""
    with pytest.raises(InvalidInputError) as caught:
        _read(_find(tmp_path))

    assert f"{tmp_path}/contract.yaml: cannot be read: No such file or directory" == caught.value.message
    assert caught.value.recovery.startswith("Install omninode-deployment-sender again")


def test_no_yaml(tmp_path: Path) -> None:
    """The error for a file that is not YAML names it."""
    path = tmp_path / "contract.yaml"
    path.write_text("name: [")
    with pytest.raises(InvalidInputError, match=r"contract\.yaml: is not YAML: "):
        _read(path)


def test_no_mapping(tmp_path: Path) -> None:
    """The error for a file without keys names it."""
    path = tmp_path / "contract.yaml"
    path.write_text("")
    with pytest.raises(InvalidInputError, match=r"contract\.yaml: Input should be a valid dictionary"):
        _read(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data.pop("config"), "contract.yaml: config: Field required"),
        (
            lambda data: data["config"].update(operations={}),
            "contract.yaml: config.operations: Dictionary should have at least 1 item after validation, not 0",
        ),
        (
            lambda data: data["config"]["event_types"].update(BUILD_STARTED=1),
            "contract.yaml: config.event_types.BUILD_STARTED: Input should be a valid string",
        ),
        (
            lambda data: data["yaml_published_events"][0].pop("topic"),
            "contract.yaml: yaml_published_events.0.topic: Field required",
        ),
        (
            lambda data: data["yaml_published_events"].pop(),
            "contract.yaml: yaml_published_events: has no topic for config.event_types.DEPLOYMENT_FAILED",
        ),
    ],
)
def test_broken_file(tmp_path: Path, edit: Edit, message: str) -> None:
    """The error names the file and the key."""
    assert message == refusal(tmp_path, edit)
