"""The errors of models: public ones for callers, types for data that is read inside."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    DeploymentSenderError,
    ErrorCode,
    InvalidInputError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.base import CheckedModel, InputModel

_WRONG = {"number": "a secret", "other": 1}


class _Checked(CheckedModel):
    number: Annotated[int, Field(ge=0)]


class _Input(InputModel):
    number: Annotated[int, Field(ge=0)]


def test_input_raises_the_public_error() -> None:
    """The error is the public one, names each wrong field and holds no value."""
    with pytest.raises(DeploymentSenderError) as caught:
        _Input.read(_WRONG)

    assert ErrorCode.VALIDATION_ERROR is caught.value.code
    assert caught.value.message.startswith("_Input: number: ")
    assert "other: " in caught.value.message
    assert "a secret" not in caught.value.message


def test_checked_data_raises_a_type() -> None:
    """Data that is read inside raises the type of a wrong input, with the same message."""
    with pytest.raises(InvalidInputError, match=r"_Checked: number: .*; other: "):
        _Checked.read(_WRONG)


def test_values_are_read() -> None:
    """A mapping of the right values becomes a model that cannot be changed."""
    model = _Input.read({"number": 7})

    assert 7 == model.number
    with pytest.raises(ValidationError, match="frozen"):
        model.number = 8  # type: ignore[misc]  # it is frozen
