"""Reads contract.yaml: the node's operations, topics and limits are told there, never in code.

The file's schema is omnibase_core's `ModelContractEffect` (0.47.57); what that has no field for stands under `config`,
which it leaves to the node. Keys that concern other readers of the file are passed over here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import DeploymentSenderError, ErrorCode
from .models import validation_error

__all__ = ["Limits", "NodeContract", "OperationSpec", "TopicSpec", "load_contract"]

_FILE_NAME = "contract.yaml"
_RECOVERY = "Install omninode-deployment-sender again, or put back the contract.yaml that belongs to this version."

_Text = Annotated[str, Field(min_length=1)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation.

    Attributes:
        name: As a contract's `operation` names it.
        input_model: The dotted name of the model that its `input` must fit.
        output_model: The dotted name of the class of its answer.
        description: One sentence.
    """

    name: str
    input_model: str
    output_model: str
    description: str


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """Where one type of event goes.

    Attributes:
        event_type: As callers name it, like `BUILD_STARTED`.
        name: The Kafka topic, like `onex.evt.deployment-sender.build-started.v1`.
        envelope_event_type: As the event's envelope names it, like `deployment-sender.build-started`.
    """

    event_type: str
    name: str
    envelope_event_type: str


class Limits(BaseModel):
    """The defaults of the settings of the same names; a GB is 1,000,000,000 bytes."""

    model_config = ConfigDict(defer_build=True, frozen=True, strict=True, extra="forbid")

    max_package_size_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    max_concurrent_transfers: Annotated[int, Field(ge=1)]
    build_timeout_seconds: _Seconds
    export_silence_timeout_seconds: _Seconds
    connect_timeout_seconds: _Seconds
    idle_timeout_seconds: _Seconds
    transfer_timeout_seconds: _Seconds
    deployment_timeout_seconds: _Seconds
    publish_timeout_seconds: _Seconds


@dataclass(frozen=True, slots=True)
class NodeContract:
    """What contract.yaml says.

    Attributes:
        name: The node's name; its entry point has the same.
        version: The node's own, as `major.minor.patch`.
        operations: By name.
        topics: By the event type that callers use.
        limits: With units in their names.
    """

    name: str
    version: str
    operations: Mapping[str, OperationSpec]
    topics: Mapping[str, TopicSpec]
    limits: Limits


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, strict=True, extra="ignore")


class _Version(_Part):
    major: int
    minor: int
    patch: int


class _PublishedEvent(_Part):
    topic: _Text
    event_type: _Text


class _Operation(_Part):
    input_model: _Text
    output_model: _Text
    description: _Text


class _Config(_Part):
    operations: Annotated[dict[str, _Operation], Field(min_length=1)]
    event_types: Annotated[dict[str, _Text], Field(min_length=1)]
    limits: Limits


class _File(_Part):
    name: _Text
    node_version: _Version
    yaml_published_events: list[_PublishedEvent]
    config: _Config


@cache
def load_contract() -> NodeContract:
    """Read the contract once: 1 ms, and 40 ms before it for PyYAML's own import, so not on a running loop.

    Returns:
        The contract of the installed package, or that of the source tree which this file is in.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, naming the file and the key that is missing or wrong.
    """
    return _read(_find(Path(__file__).parent))


def _find(package: Path) -> Path:
    """Look in the package, where a wheel has the file, then beside the source tree's pyproject.toml."""
    inside = package / _FILE_NAME
    if inside.is_file():
        return inside
    roots = (folder for folder in package.parents if (folder / "pyproject.toml").is_file())
    return next(roots, package) / _FILE_NAME


def _read(path: Path) -> NodeContract:
    try:
        file = _File.model_validate(_parse(path))
    except ValidationError as exc:
        raise _broken(validation_error(str(path), exc).message) from exc
    version = file.node_version
    return NodeContract(
        name=file.name,
        version=f"{version.major}.{version.minor}.{version.patch}",
        operations=MappingProxyType(
            {name: OperationSpec(name, **spec.model_dump()) for name, spec in file.config.operations.items()}
        ),
        topics=_topics(path, file),
        limits=file.config.limits,
    )


def _parse(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - only here, and not needed to import the front door

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times faster, is not in every build
    try:
        return yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe loaders
    except OSError as exc:
        raise _broken(f"{path}: cannot be read: {exc.strerror}") from exc
    except yaml.YAMLError as exc:
        raise _broken(f"{path}: is not YAML: {exc}") from exc


def _topics(path: Path, file: _File) -> Mapping[str, TopicSpec]:
    names = {event.event_type: event.topic for event in file.yaml_published_events}
    topics = {}
    for event_type, envelope_event_type in file.config.event_types.items():
        if envelope_event_type not in names:
            raise _broken(f"{path}: yaml_published_events: has no topic for config.event_types.{event_type}")
        topics[event_type] = TopicSpec(event_type, names[envelope_event_type], envelope_event_type)
    return MappingProxyType(topics)


def _broken(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message, recovery=_RECOVERY)
