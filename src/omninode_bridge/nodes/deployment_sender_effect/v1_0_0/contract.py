"""Reads contract.yaml: the node's operations, and the topic of each type of event.

The file's schema is omnibase_core's `ModelContractEffect` (0.47.57); what that has no field for stands under `config`,
which it leaves to the node. The rest of the file is for other readers; tests compare it with the code.

Importing this module takes 40 ms, most of it for PyYAML: `resources` does it when a contract is first needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import InvalidInputError
from .models import validation_error

__all__ = ["NodeContract", "TopicSpec", "load_contract"]

_FILE_NAME = "contract.yaml"
_RECOVERY = "Install omninode-deployment-sender again, or restore the contract.yaml of this version."

_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """Where one type of event is published.

    Attributes:
        event_type: As callers name it, such as `BUILD_STARTED`.
        name: The Kafka topic, such as `onex.evt.deployment-sender.build-started.v1`.
        envelope_event_type: As the event's envelope names it, such as `deployment-sender.build-started`.
    """

    event_type: str
    name: str
    envelope_event_type: str


@dataclass(frozen=True, slots=True)
class NodeContract:
    """The part of contract.yaml that the node uses.

    Attributes:
        operations: Their names.
        topics: By the event type that callers use.
    """

    operations: tuple[str, ...]
    topics: Mapping[str, TopicSpec]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, strict=True, extra="ignore")


class _PublishedEvent(_Part):
    topic: _Text
    event_type: _Text


class _Config(_Part):
    operations: Annotated[dict[str, Any], Field(min_length=1)]
    event_types: Annotated[dict[str, _Text], Field(min_length=1)]


class _File(_Part):
    yaml_published_events: list[_PublishedEvent]
    config: _Config


@cache
def load_contract() -> NodeContract:
    """Read the contract; later calls return the same one. It blocks for some 20 ms: call it in a thread.

    Returns:
        The contract of the installed package, or that of the source tree to which this file belongs.

    Raises:
        InvalidInputError: The file is missing or wrong; the message names it and the key.
    """
    return _read(_find(Path(__file__).parent))


def _find(package: Path) -> Path:
    """Return the path in the package, where a wheel has the file, or else beside the source tree's pyproject.toml."""
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
    return NodeContract(operations=tuple(file.config.operations), topics=_topics(path, file))


def _parse(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_bytes())
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


def _broken(message: str) -> InvalidInputError:
    return InvalidInputError(message, recovery=_RECOVERY)
