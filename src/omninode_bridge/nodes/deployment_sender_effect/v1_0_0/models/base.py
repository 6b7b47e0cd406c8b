"""What every model of this node has in common."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from ..errors import ErrorCode, InvalidInputError

__all__ = ["InputModel", "OutputModel", "validation_error"]


def validation_error(subject: str, exc: ValidationError) -> InvalidInputError:
    """Tell which fields of `subject` are wrong, and never their values: a value may be a secret."""
    problems = "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or subject}: {error['msg'].removeprefix('Value error, ')}"
        for error in exc.errors(include_input=False, include_url=False, include_context=False)
    )
    return InvalidInputError(f"{subject}: {problems}")


class InputModel(BaseModel):
    """An operation's input: frozen, no unknown keys; what is wrong raises `VALIDATION_ERROR`."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _raise_our_own_error(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as exc:
            raise validation_error(cls.__name__, exc) from exc

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read the `input` mapping of a contract.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`, naming each wrong field.
        """
        return cls.model_validate(dict(data))


class OutputModel(BaseModel):
    """An operation's answer.

    Attributes:
        success: Whether the operation did all it was asked for.
        error_code: One of the eight codes when `success` is false.
        error_message: What happened, for a person.
        recovery: What the person should do next.
        correlation_id: The caller's own id, as it was given.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    success: bool
    error_code: ErrorCode | None = None
    error_message: str | None = None
    recovery: str | None = None
    correlation_id: str | None = None
