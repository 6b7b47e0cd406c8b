"""Credentials from helper programs (scripts of the test) and from docker's configuration."""

import json
import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.config import DockerConfig
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.credentials import credentials_for
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.registries import DOCKER_HUB
from support.eventually import eventually_sync
from support.process.processes import until_group_ends

ANSWER = json.dumps({"ServerURL": "x", "Username": "me", "Secret": "s3cret"})
ENTRY = {"auth": b64encode(b"me:s3cret").decode()}


class Helpers:
    """Programs on the PATH, and the registries that each was called for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, script: str) -> None:
        """Put one there; it notes what it is asked."""
        program = self.folder / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nread -r server\necho "$1 $server" >>{self.folder}/{name}.asked\n{script}\n')
        program.chmod(0o755)

    def asked(self, name: str) -> list[str]:
        """Return what it was asked."""
        try:
            return (self.folder / f"{name}.asked").read_text().splitlines()
        except FileNotFoundError:
            return []


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helpers:
    """None yet."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Helpers(tmp_path)


@pytest.fixture
def call() -> Iterator[Call]:
    """A call that is closed afterwards."""
    call = Call()
    yield call
    call.close()


def _found(
    call: Call, *registries: str, seconds: float = 10, **config: Any
) -> tuple[dict[str, dict[str, str]], list[str]]:
    warnings: list[str] = []
    found = credentials_for(call, DockerConfig(**config), registries, seconds, warnings.append)
    assert [] == [text for text in warnings if "s3cret" in text]
    return found, warnings


def _account(registry: str) -> dict[str, dict[str, str]]:
    return {registry: {"serveraddress": registry, "username": "me", "password": "s3cret"}}


def test_a_helper_has_the_credentials_of_its_registry(call: Call, helpers: Helpers) -> None:
    """It is called with the registry's name, and for no other."""
    helpers.add("one", f"echo '{ANSWER}'")
    found = _found(call, "one.example", "two.example", helpers={"one.example": "one"})

    assert (_account("one.example"), []) == found
    assert ["get one.example"] == helpers.asked("one")


def test_the_store_has_the_credentials_of_every_other_registry(call: Call, helpers: Helpers) -> None:
    """The Docker Hub has an old name there."""
    helpers.add("all", f"echo '{ANSWER}'")
    found, _ = _found(call, DOCKER_HUB, store="all", helpers={"one.example": "one"})

    assert (_account(DOCKER_HUB), [f"get {DOCKER_HUB}"]) == (found, helpers.asked("all"))


def test_without_registries_no_helper_runs(call: Call, helpers: Helpers) -> None:
    """A Dockerfile may name no registry."""
    helpers.add("all", f"echo '{ANSWER}'")

    assert (({}, []), []) == (_found(call, store="all"), helpers.asked("all"))


def test_an_empty_helper_means_none(call: Call, helpers: Helpers) -> None:
    """So one registry is taken from a store, as the docker command reads it."""
    helpers.add("all", f"echo '{ANSWER}'")
    _found(call, "one.example", store="all", helpers={"one.example": ""})

    assert [] == helpers.asked("all")


def test_a_token_is_recognised_by_its_user(call: Call, helpers: Helpers) -> None:
    """`<token>` stands for none."""
    helpers.add("one", """echo '{"Username": "<token>", "Secret": "t"}'""")
    found, _ = _found(call, "one.example", store="one")

    assert {"one.example": {"serveraddress": "one.example", "identitytoken": "t"}} == found


@pytest.mark.parametrize(
    "script", ["echo 'credentials not found in native keychain'; exit 1", """echo '{"Username": "", "Secret": ""}'"""]
)
def test_a_helper_may_have_no_credentials(call: Call, helpers: Helpers, script: str) -> None:
    """That is not an error."""
    helpers.add("one", script)

    assert ({}, []) == _found(call, "one.example", store="one")


@pytest.mark.parametrize(
    ("script", "warning"),
    [
        ("echo s3cret; exit 3", "docker-credential-one failed with exit code 3"),
        ("echo s3cret", "the output of docker-credential-one is not a user and a secret"),
        ("echo '{}'", "the output of docker-credential-one is not a user and a secret"),
        ('echo \'{"Username": 5, "Secret": []}\'', "the output of docker-credential-one is not a user and a secret"),
        ("exec head -c 100000 /dev/zero", "docker-credential-one has not ended"),
    ],
)
def test_a_helper_that_fails_is_a_warning(call: Call, helpers: Helpers, script: str, warning: str) -> None:
    """What it printed may be a secret, and is not repeated."""
    helpers.add("one", script)
    found, warnings = _found(call, "one.example", store="one")

    assert ({}, 1, True) == (found, len(warnings), warnings[0].startswith(warning))


def test_a_helper_that_is_missing_is_a_warning(call: Call) -> None:
    """Once, however many registries it is for."""
    found, warnings = _found(call, "one.example", "two.example", store="not-there")

    expected = "docker-credential-not-there cannot be started (No such file or directory): going on without it"
    assert ({}, [expected]) == (found, warnings)


def test_a_helper_that_hangs_is_ended_at_the_deadline(call: Call, helpers: Helpers) -> None:
    """Programs that it started end, too, and it is not called again."""
    helpers.add("slow", f"echo $$ >{helpers.folder}/pid; sleep 600; echo late")
    found, warnings = _found(call, "one.example", "two.example", store="slow", seconds=0.3)

    assert ({}, ["docker-credential-slow has not ended within 0.3 s: going on without it"]) == (found, warnings)
    assert ["get one.example"] == helpers.asked("slow")
    until_group_ends(int((helpers.folder / "pid").read_text()))


def test_a_helper_ends_at_once_with_the_call(helpers: Helpers) -> None:
    """Long before its deadline."""
    helpers.add("slow", "sleep 600")
    call = Call()

    def abort(is_asked: Callable[[], list[str]]) -> None:
        eventually_sync(is_asked)
        call.abort()

    thread = threading.Thread(target=abort, args=(lambda: helpers.asked("slow"),))
    thread.start()
    with closing(call), pytest.raises(AbortedError):
        _found(call, "one.example", store="slow", seconds=600)
    thread.join()


def test_an_entry_of_the_file_replaces_a_helper(call: Call) -> None:
    """The docker command may have been used without one before."""
    found, warnings = _found(call, "one.example", store="not-there", auths={"one.example": ENTRY})

    assert (_account("one.example"), 1) == (found, len(warnings))


@pytest.mark.parametrize(
    ("name", "registry"),
    [
        ("one.example", "one.example"),
        ("https://one.example/v2/", "one.example"),
        (DOCKER_HUB, DOCKER_HUB),
        ("docker.io", DOCKER_HUB),
        ("https://index.docker.io/v2/", DOCKER_HUB),
    ],
)
def test_a_registry_has_several_names(call: Call, name: str, registry: str) -> None:
    """As the docker command finds it."""
    assert (_account(registry), []) == _found(call, registry, auths={name: ENTRY, "other.example": ENTRY})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"identitytoken": "t", "auth": ENTRY["auth"]}, {"identitytoken": "t"}),
        ({"registrytoken": "t"}, {"registrytoken": "t"}),
        ({"username": "me", "password": "p"}, {"username": "me", "password": "p"}),
        ({"auth": b64encode(b"me:a:b\0\0").decode()}, {"username": "me", "password": "a:b"}),
    ],
)
def test_an_entry_has_several_forms(call: Call, entry: dict[str, str], expected: dict[str, str]) -> None:
    """Those of docker's AuthConfig."""
    found, _ = _found(call, "one.example", auths={"one.example": entry})

    assert {"one.example": {"serveraddress": "one.example"} | expected} == found


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"email": "me@example.com"}])
def test_an_entry_may_be_empty(call: Call, entry: dict[str, str]) -> None:
    """So it is where a helper keeps the credentials."""
    assert ({}, []) == _found(call, "one.example", auths={"one.example": entry})


@pytest.mark.parametrize("auth", ["no base64!", b64encode(b"nobody").decode(), b64encode(b"\xff:x").decode()])
def test_an_entry_that_cannot_be_read_is_a_warning(call: Call, auth: str) -> None:
    """If its registry is wanted; it is not repeated."""
    found, warnings = _found(call, "one.example", auths={"one.example": {"auth": auth}, "two.example": {"auth": "!"}})

    assert ({}, 1, False) == (found, len(warnings), auth in warnings[0])


def test_a_configuration_that_cannot_be_read_is_a_warning(call: Call) -> None:
    """As the docker command warns."""
    assert ({}, ["x is no JSON: going on without it"]) == _found(call, "one.example", problem="x is no JSON")
