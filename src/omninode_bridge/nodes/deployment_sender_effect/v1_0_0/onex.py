"""Contracts and containers by shape: whatever has the right attributes, omnibase_core's own classes among them.

omnibase_core (PyPI) is never imported: its `ModelContractEffect` carries the call in `input_state` and its
`ModelContainer` the settings in `value`, and that is all that this node needs to know of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import DeploymentSenderError, ErrorCode
from .models import InputModel
from .models.fields import CorrelationId

__all__ = ["EffectCall", "ModelContainer", "ModelContractEffect", "read_container", "read_contract"]

_EXAMPLE = '{"operation": "get_metrics", "input": {}}'
_correlation_ids: TypeAdapter[str] = TypeAdapter(
    CorrelationId, config=ConfigDict(hide_input_in_errors=True, defer_build=True)
)


class ModelContractEffect(InputModel):
    """What an orchestrator asks of the node.

    Attributes:
        input_data: `{"operation": ..., "input": {...}}`.
        correlation_id: The caller's own id, which comes back in every answer and event.
    """

    input_data: dict[str, Any]
    correlation_id: str | UUID | None = None


class ModelContainer(InputModel):
    """What the node is made with.

    Attributes:
        value: Settings by name.
        container_type: Says what `value` is; nothing here depends on it.
    """

    value: dict[str, Any]
    container_type: str = "config"


@dataclass(frozen=True, slots=True)
class EffectCall:
    """A contract, read.

    Attributes:
        operation: Which one; not yet known to exist.
        input: Its fields, not yet validated; never shown, as build arguments may be secrets.
        correlation_id: 1 to 128 printable ASCII characters.
    """

    operation: str
    input: Mapping[str, Any] = field(repr=False)
    correlation_id: str | None


def read_contract(contract: object) -> EffectCall:
    """Read any contract.

    Args:
        contract: An object or mapping with `input_data` or `input_state`, a mapping
            `{"operation": ..., "input": {...}}`, and, if wanted, `correlation_id` (a string, a UUID or None).

    Returns:
        The call; an `input` that is not there is empty.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, saying what is wrong and never a value.
    """
    state = _state(contract)
    if unknown := [key for key in state if key not in {"operation", "input"}]:
        raise _invalid(
            f"the contract has {', '.join(map(_shown, unknown))} beside operation and input;"
            " the operation's own fields belong inside input"
        )
    operation = state.get("operation")
    if not isinstance(operation, str) or not operation:
        raise _invalid(f"the contract needs an operation, a string, as in {_EXAMPLE}")
    fields = state.get("input", {})
    if not isinstance(fields, Mapping):
        raise _invalid(f"the contract's input is a mapping of the operation's fields, not {_kind(fields)}")
    return EffectCall(operation, MappingProxyType(dict(fields)), _correlation_id(_get(contract, "correlation_id")))


def read_container(container: object) -> Mapping[str, Any]:
    """Read any container.

    Args:
        container: An object with a mapping in `.value`, a mapping, or None.

    Returns:
        Settings by name, in a copy that cannot be changed; empty for None.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`.
    """
    value = {} if container is None else container
    if not isinstance(value, Mapping):
        value = getattr(container, "value", None)
    if not isinstance(value, Mapping):
        raise _invalid(
            "a container is an object with a mapping of settings in .value, such a mapping itself, or None;"
            f" this is {_kind(container)}"
        )
    if not all(isinstance(key, str) for key in value):
        raise _invalid("a container's settings have strings for names")
    return MappingProxyType(dict(value))


def _state(contract: object) -> Mapping[Any, Any]:
    found = [state for name in ("input_data", "input_state") if (state := _get(contract, name)) is not None]
    if not found:
        raise _invalid(
            f"a contract has input_data or input_state, as in {_EXAMPLE}; this {_kind(contract)} has neither"
        )
    if any(state != found[0] for state in found):
        raise _invalid("the contract's input_data and input_state differ; set one of them")
    if not isinstance(found[0], Mapping):
        raise _invalid(f"a contract's input_data or input_state is a mapping, as in {_EXAMPLE}, not {_kind(found[0])}")
    return found[0]


def _get(contract: object, name: str) -> Any:
    return contract.get(name) if isinstance(contract, Mapping) else getattr(contract, name, None)


def _correlation_id(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | UUID):
        raise _invalid(f"the contract's correlation_id is a string, a UUID or None, not {_kind(value)}")
    try:
        return _correlation_ids.validate_python(str(value))
    except ValidationError as exc:
        raise _invalid("the contract's correlation_id has 1 to 128 printable ASCII characters") from exc


def _shown(key: object) -> str:
    return repr(key) if isinstance(key, str) else _kind(key)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _invalid(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message)
