"""Each private name of another library that clients/docker uses, and what has to change if it is gone."""

from http.client import HTTPConnection
from types import CodeType
from typing import Any

import pytest
from docker import APIClient

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.connection import EngineClient

_USED = [
    *("_url", "_get", "_post", "_delete", "_post_json", "_result", "_raise_for_status", "build", "load_image", "info"),
    *("inspect_image", "create_container", "inspect_container", "start", "stop", "rename", "remove_container", "logs"),
    *("version", "tag", "remove_image", "images", "containers", "create_host_config", "update_container", "events"),
    *("inspect_volume",),
]


def _code(owner: type[Any], method: str) -> CodeType:
    """Find the code of a method, below what decorates it."""
    found = getattr(owner, method, None)
    assert found is not None, f"{owner.__name__} has no {method} any more: clients/docker/connection.py relies on it"
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    code = found.__code__
    assert isinstance(code, CodeType)
    return code


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*(_names(one) for one in inner))


@pytest.mark.parametrize(
    ("owner", "method", "name"),
    [
        (APIClient, "_url", "_version"),
        (APIClient, "_url", "base_url"),
        (APIClient, "_set_request_timeout", "timeout"),
        (APIClient, "_post", "_general_configs"),
        (APIClient, "build", "_set_auth_headers"),
        (APIClient, "build", "_stream_helper"),
        (APIClient, "load_image", "_stream_helper"),
        (APIClient, "create_container", "_proxy_configs"),
        (HTTPConnection, "putrequest", "_http_vsn"),
        (HTTPConnection, "putrequest", "_http_vsn_str"),
        (HTTPConnection, "request", "_send_request"),
    ],
)
def test_each_private_name_that_is_set_is_still_used(owner: type[Any], method: str, name: str) -> None:
    """If it is not, setting it in `EngineClient` or `EngineAdapter` has no effect."""
    assert name in _names(_code(owner, method)), (
        f"{owner.__name__}.{method} of this version does not use {name} any more: find what replaced it, and"
        " change clients/docker/connection.py or transport.py, which set it"
    )


@pytest.mark.parametrize(
    "method",
    _USED,
)
def test_each_method_finds_all_attributes_that_it_needs(method: str) -> None:
    """docker-py's constructor is not called, so `EngineClient` must set every attribute that a method reads."""
    made_by_theirs = {name for name in APIClient.__init__.__code__.co_names if name.startswith("_")}
    made_by_ours = set(EngineClient.__init__.__code__.co_names) | set(dir(EngineClient))

    assert set() == (made_by_theirs & _names(_code(APIClient, method))) - made_by_ours, (
        f"APIClient.{method} of this version reads what EngineClient does not set: set it in its constructor"
    )
