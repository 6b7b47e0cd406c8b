"""Base classes of the models: inputs are checked, outputs report success or failure."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from ..errors import DeploymentSenderError, ErrorCode, InvalidInputError

__all__ = ["CheckedModel", "InputModel", "OutputModel", "validation_error"]


def validation_error(subject: str, exc: ValidationError) -> InvalidInputError:
    """Return an error that names the wrong fields of `subject`, never their values: a value may be a secret."""
    problems = "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or subject}: {error['msg'].removeprefix('Value error, ')}"
        for error in exc.errors(include_input=False, include_url=False, include_context=False)
    )
    return InvalidInputError(f"{subject}: {problems}")


class CheckedModel(BaseModel):
    """Data from outside that is read inside this package: frozen, no unknown keys.

    Raises:
        InvalidInputError: A field is wrong or missing.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _translate_error(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as exc:
            raise cls._error(validation_error(cls.__name__, exc)) from exc

    @classmethod
    def _error(cls, error: InvalidInputError) -> Exception:
        """Return the error to raise."""
        return error

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read a mapping, such as the `input` of a contract."""
        return cls.model_validate(dict(data))


class InputModel(CheckedModel):
    """An operation's input, made by callers of this package.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, naming each wrong field.
    """

    @classmethod
    def _error(cls, error: InvalidInputError) -> Exception:
        return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, error.message)


class OutputModel(BaseModel):
    """An operation's result.

    Attributes:
        success: Whether the operation did all that was requested.
        error_code: One of the eight codes when `success` is false.
        error_message: What happened, for a person.
        recovery: What the person should do next.
        correlation_id: The caller's id, as it was given.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    success: bool
    error_code: ErrorCode | None = None
    error_message: str | None = None
    recovery: str | None = None
    correlation_id: str | None = None
