"""Reads contracts and containers by their shape: any object with the right attributes, as omnibase_core's classes.

omnibase_core (PyPI) is never imported: its `ModelContractEffect` carries the call in `input_state` and its
`ModelContainer` the settings in `value`; this node needs nothing else of them (docs/adr/0005).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import InvalidInputError
from .models import InputModel
from .models.fields import CorrelationId

__all__ = ["EffectCall", "ModelContainer", "ModelContractEffect", "read_container", "read_contract"]

_EXAMPLE = '{"operation": "get_metrics", "input": {}}'
_correlation_ids: TypeAdapter[str] = TypeAdapter(
    CorrelationId, config=ConfigDict(hide_input_in_errors=True, defer_build=True)
)


class ModelContractEffect(InputModel):
    """One request of an orchestrator to the node.

    Attributes:
        input_data: `{"operation": ..., "input": {...}}`.
        correlation_id: The caller's own id; every output and event has it.
    """

    input_data: dict[str, Any]
    correlation_id: str | UUID | None = None


class ModelContainer(InputModel):
    """The settings of a node.

    Attributes:
        value: Settings by name.
        container_type: Describes `value`; nothing here depends on it.
    """

    value: dict[str, Any]
    container_type: str = "config"


@dataclass(frozen=True, slots=True)
class EffectCall:
    """A contract that was read.

    Attributes:
        operation: Its name; not validated yet.
        input: Its fields, not validated yet; never shown, as build arguments may be secrets.
        correlation_id: 1 to 128 printable ASCII characters.
    """

    operation: str
    input: Mapping[str, Any] = field(repr=False)
    correlation_id: str | None


def read_contract(contract: object) -> EffectCall:
    """Read any contract.

    Args:
        contract: An object or mapping with `input_data` or `input_state`, a mapping
            `{"operation": ..., "input": {...}}`, and optionally `correlation_id` (a string, a UUID or None).

    Returns:
        The call; a missing `input` is empty.

    Raises:
        InvalidInputError: The contract is wrong; the message names the problem and never a value.
    """
    state = _state(contract)
    if unknown := [key for key in state if key not in {"operation", "input"}]:
        raise InvalidInputError(
            f"the contract has {', '.join(map(_key, unknown))} besides operation and input;"
            " the operation's own fields belong inside input"
        )
    operation = state.get("operation")
    if not isinstance(operation, str) or not operation:
        raise InvalidInputError(f"the contract needs an operation, a string, as in {_EXAMPLE}")
    fields = state.get("input", {})
    if not isinstance(fields, Mapping):
        raise InvalidInputError(
            f"the contract's input must be a mapping of the operation's fields, not {_kind(fields)}"
        )
    return EffectCall(operation, MappingProxyType(dict(fields)), _correlation_id(_get(contract, "correlation_id")))


def read_container(container: object) -> Mapping[str, Any]:
    """Read any container.

    Args:
        container: An object with a mapping in `.value`, a mapping, or None.

    Returns:
        Settings by name, in a copy that cannot be changed; empty for None.

    Raises:
        InvalidInputError: It is neither.
    """
    value = {} if container is None else container
    if not isinstance(value, Mapping):
        value = getattr(container, "value", None)
    if not isinstance(value, Mapping):
        raise InvalidInputError(
            "a container must be an object with a mapping of settings in .value, such a mapping itself, or None;"
            f" this is {_kind(container)}"
        )
    if not all(isinstance(key, str) for key in value):
        raise InvalidInputError("the names of a container's settings must be strings")
    return MappingProxyType(dict(value))


def _state(contract: object) -> Mapping[Any, Any]:
    found = [state for name in ("input_data", "input_state") if (state := _get(contract, name)) is not None]
    if not found:
        raise InvalidInputError(
            f"a contract must have input_data or input_state, as in {_EXAMPLE}; this {_kind(contract)} has neither"
        )
    if any(state != found[0] for state in found):
        raise InvalidInputError("the contract's input_data and input_state differ; set one of them")
    if not isinstance(found[0], Mapping):
        raise InvalidInputError(
            f"a contract's input_data or input_state must be a mapping, as in {_EXAMPLE}, not {_kind(found[0])}"
        )
    return found[0]


def _get(contract: object, name: str) -> Any:
    return contract.get(name) if isinstance(contract, Mapping) else getattr(contract, name, None)


def _correlation_id(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | UUID):
        raise InvalidInputError(f"the contract's correlation_id must be a string, a UUID or None, not {_kind(value)}")
    try:
        return _correlation_ids.validate_python(str(value))
    except ValidationError as exc:
        raise InvalidInputError("the contract's correlation_id must have 1 to 128 printable ASCII characters") from exc


def _key(key: object) -> str:
    return repr(key) if isinstance(key, str) else _kind(key)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
