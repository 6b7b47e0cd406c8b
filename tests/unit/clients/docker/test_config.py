"""The docker command's config.json as it is read; no entry of it breaks a build."""

import json
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.config import DockerConfig, read_config


def _read(folder: Path, content: Any) -> DockerConfig:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return read_config(folder)


def test_everything_that_a_build_needs_is_read(tmp_path: Path) -> None:
    """Entries, helpers, proxies, headers."""
    content: dict[str, Any] = {
        "auths": {"one.example": {"auth": "eA=="}},
        "credHelpers": {"two.example": "two"},
        "credsStore": "store",
        "proxies": {"default": {"httpProxy": "http://proxy"}},
        "HttpHeaders": {"X-Meta": "us"},
        "currentContext": "default",
    }
    expected = DockerConfig(
        content["auths"], content["credHelpers"], "store", content["proxies"], content["HttpHeaders"]
    )

    assert expected == _read(tmp_path, content)


@pytest.mark.parametrize("name", ["auths", "credHelpers", "credsStore", "proxies", "HttpHeaders"])
@pytest.mark.parametrize("value", [None, "", {}, [], 5, {"default": None}, {"one.example": ""}])
def test_odd_entries_are_ignored(tmp_path: Path, name: str, value: Any) -> None:
    """They are null, empty, or of another type."""
    config = _read(tmp_path, {name: value, "unknown": [{}]})

    assert (None, {}) == (config.problem, config.proxy_args(None))


def test_no_file_is_an_empty_configuration(tmp_path: Path) -> None:
    """A missing folder is no problem either."""
    assert [DockerConfig()] * 2 == [read_config(tmp_path), read_config(None)]


@pytest.mark.parametrize(("content", "trouble"), [("{", "is not JSON"), ("[]", "is not a JSON object"), ("", "is no")])
def test_a_file_that_is_broken_is_named(tmp_path: Path, content: str, trouble: str) -> None:
    """The docker command warns and goes on, too."""
    config = _read(tmp_path, content)

    assert config.problem is not None
    assert config.problem.startswith(f"{tmp_path}/config.json {trouble}")


def test_a_folder_in_its_place_is_ignored(tmp_path: Path) -> None:
    """It is no file that could be read."""
    (tmp_path / "config.json").mkdir()

    assert DockerConfig() == read_config(tmp_path)


def test_proxies_are_build_arguments_in_both_spellings(tmp_path: Path) -> None:
    """The names are those of docker/cli; what is empty is none."""
    proxies = {"httpProxy": "h", "httpsProxy": "s", "ftpProxy": "f", "noProxy": "n", "allProxy": "a"}
    names = {"HTTP_PROXY": "h", "HTTPS_PROXY": "s", "FTP_PROXY": "f", "NO_PROXY": "n", "ALL_PROXY": "a"}
    config = _read(tmp_path, {"proxies": {"default": proxies, "tcp://there:2375": {"httpProxy": ""}}})

    assert names | {name.lower(): value for name, value in names.items()} == config.proxy_args(None)
    assert {} == config.proxy_args("tcp://there:2375")


def test_an_engines_own_proxies_win(tmp_path: Path) -> None:
    """They are found by its address."""
    content = {"proxies": {"default": {"httpProxy": "any"}, "tcp://there:2375": {"noProxy": "own"}}}

    assert {"NO_PROXY": "own", "no_proxy": "own"} == _read(tmp_path, content).proxy_args("tcp://there:2375")


def test_no_secret_is_in_its_text(tmp_path: Path) -> None:
    """A log may hold it."""
    content = {
        "auths": {"one.example": {"auth": "s3cret"}},
        "proxies": {"default": {"httpProxy": "s3cret"}},
        "HttpHeaders": {"Authorization": "s3cret"},
    }

    assert "s3cret" not in repr(_read(tmp_path, content))
