"""Contracts and containers are read by shape, and refused without a value in the message."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.onex import (
    EffectCall,
    ModelContainer,
    ModelContractEffect,
    read_container,
    read_contract,
)

SECRET = "hunter2"
STATE: dict[str, Any] = {"operation": "package_container", "input": {"container_name": "hello"}}
SETTINGS = {"environment": "production"}


def call(contract: object) -> tuple[str, dict[str, Any], str | None]:
    """Return the parts of the call in a contract."""
    read = read_contract(contract)
    return read.operation, dict(read.input), read.correlation_id


def refusal(contract: object) -> str:
    """Return the error message for a contract."""
    with pytest.raises(InvalidInputError) as caught:
        read_contract(contract)
    return caught.value.message


@pytest.mark.parametrize(
    "contract",
    [
        ModelContractEffect(input_data=STATE),
        SimpleNamespace(input_data=STATE),
        SimpleNamespace(input_state=STATE),
        SimpleNamespace(input_data=None, input_state=STATE, correlation_id=None),
        SimpleNamespace(input_data=STATE, input_state=dict(STATE)),
        {"input_data": STATE},
        {"input_state": STATE, "name": "another key of the caller's own"},
    ],
)
def test_shapes(contract: object) -> None:
    """An object or mapping with input_data or input_state is a contract."""
    assert ("package_container", {"container_name": "hello"}, None) == call(contract)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ("deploy-001", "deploy-001"),
        ("two words", "two words"),
        ("x" * 128, "x" * 128),
        (UUID("6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111"), "6f0a1c52-2d0c-4a6e-9a55-0d8ae0f3a111"),
    ],
)
def test_correlation_ids(given: str | UUID | None, read: str | None) -> None:
    """A correlation id is a string or a UUID, and is read as a string."""
    assert read == read_contract(ModelContractEffect(input_data=STATE, correlation_id=given)).correlation_id


def test_without_input() -> None:
    """A missing input is empty."""
    assert ("get_metrics", {}, None) == call({"input_data": {"operation": "get_metrics"}})


def test_the_call_is_the_nodes_own() -> None:
    """A later change of the contract does not change the call."""
    state = {"operation": "get_metrics", "input": {"a": 1}}
    read = read_contract({"input_data": state})
    state["input"] = {}

    assert {"a": 1} == dict(read.input)


def test_the_call_shows_no_input() -> None:
    """A call that is printed or logged does not show its input."""
    assert SECRET not in repr(EffectCall("package_container", {"build_args": {"TOKEN": SECRET}}, None))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (None, "a contract must have input_data or input_state, as in {example}; this None has neither"),
        (SECRET, "a contract must have input_data or input_state, as in {example}; this str has neither"),
        ({"input": SECRET}, "a contract must have input_data or input_state, as in {example}; this dict has neither"),
        (
            SimpleNamespace(input_data=STATE, input_state={"operation": SECRET}),
            "the contract's input_data and input_state differ; set one of them",
        ),
        (
            {"input_data": [SECRET]},
            "a contract's input_data or input_state must be a mapping, as in {example}, not list",
        ),
        ({"input_data": {}}, "the contract needs an operation, a string, as in {example}"),
        ({"input_data": {"operation": ""}}, "the contract needs an operation, a string, as in {example}"),
        ({"input_data": {"operation": 1}}, "the contract needs an operation, a string, as in {example}"),
        (
            {"input_data": {"operation": "get_metrics", "input": SECRET}},
            "the contract's input must be a mapping of the operation's fields, not str",
        ),
        (
            {"input_data": {"operation": "get_metrics", "input": None}},
            "the contract's input must be a mapping of the operation's fields, not None",
        ),
        (
            {"input_data": {"operation": "package_container", "build_args": SECRET, 7: SECRET}},
            (
                "the contract has 'build_args', int besides operation and input;"
                " the operation's own fields belong inside input"
            ),
        ),
        (
            {"input_data": STATE, "correlation_id": 7},
            "the contract's correlation_id must be a string, a UUID or None, not int",
        ),
    ],
)
def test_refused(contract: object, message: str) -> None:
    """A contract of another shape is refused with what to do, and no value."""
    assert message.format(example='{"operation": "get_metrics", "input": {}}') == refusal(contract)


@pytest.mark.parametrize("correlation_id", ["", "x" * 129, "a\nb", "a\x00", " a", "é"])
def test_refused_correlation_id(correlation_id: str) -> None:
    """A correlation id is short, printable ASCII, since it goes into headers and logs."""
    message = "the contract's correlation_id must have 1 to 128 printable ASCII characters"

    assert message == refusal({"input_data": STATE, "correlation_id": correlation_id})


def test_own_contract_refuses_other_keys() -> None:
    """The stand-in contract has two fields; a third is the caller's mistake."""
    with pytest.raises(DeploymentSenderError, match="ModelContractEffect: input_state: Extra inputs"):
        ModelContractEffect(input_data=STATE, input_state=STATE)  # type: ignore[call-arg]


def test_own_contract_cannot_be_changed() -> None:
    """The stand-in contract is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        ModelContractEffect(input_data=STATE).correlation_id = "another"  # type: ignore[misc]


def test_own_container() -> None:
    """The stand-in container has the type config by default."""
    assert "config" == ModelContainer(value=SETTINGS).container_type


@pytest.mark.parametrize(
    ("container", "settings"),
    [
        (ModelContainer(value=SETTINGS, container_type="config"), SETTINGS),
        (SimpleNamespace(value=SETTINGS), SETTINGS),
        (SETTINGS, SETTINGS),
        ({}, {}),
        (None, {}),
    ],
)
def test_containers(container: object, settings: Mapping[str, Any]) -> None:
    """An object with a mapping in value, a mapping and None are containers."""
    assert settings == dict(read_container(container))


@pytest.mark.parametrize("container", ["/packages", 7, SimpleNamespace(), SimpleNamespace(value=SECRET)])
def test_refused_container(container: object) -> None:
    """A container of another shape is refused by its type, and no value is shown."""
    with pytest.raises(InvalidInputError) as caught:
        read_container(container)

    assert (
        "a container must be an object with a mapping of settings in .value, such a mapping itself, or None;"
        f" this is {type(container).__name__}"
    ) == caught.value.message


def test_refused_setting_name() -> None:
    """Settings are found by name, so their names are strings."""
    with pytest.raises(InvalidInputError, match="the names of a container's settings must be strings"):
        read_container({1: SECRET})
