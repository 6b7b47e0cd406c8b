"""Credentials for registries, from docker's configuration and the helper programs that it names.

Nothing that goes wrong here ends a build: most need no credentials, and one that does is refused by its registry.
"""

import json
import os
import select
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any

from .call import Call
from .child import Child
from .config import DockerConfig
from .registries import DOCKER_HUB

__all__ = ["credentials_for"]

# github.com/docker/docker-credential-helpers: the programs' names, what they are asked and answer, and how they say
# that they have nothing.
_PROGRAM = "docker-credential-"
_NOTHING = b"credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - a mark, no password: the secret beside it is an identity token
_MAX_BYTES = 65_536
_POLL_SECONDS = 0.1


class _CredentialsError(Exception):
    """Credentials could not be had; the text names no secret."""


def credentials_for(
    call: Call, config: DockerConfig, registries: Iterable[str], seconds: float, warn: Callable[[str], None]
) -> dict[str, dict[str, str]]:
    """Find the credentials for registries; those that have none are left out.

    Args:
        call: Ends a helper.
        config: Docker's configuration.
        registries: As `registries_in` names them; a helper is asked for no other.
        seconds: For one helper to answer. A helper that has not answered is not asked again.
        warn: Called with what went wrong.

    Returns:
        By registry, what an engine takes as one (github.com/moby/moby, api/types/registry/authconfig.go).
    """
    if config.trouble:
        warn(f"{config.trouble}: going on without it")
    failed: set[str] = set()
    found = {}
    for registry in registries:
        entry: dict[str, str] = {}
        helper = _helper(config, registry)
        try:
            if helper is not None and helper not in failed:
                entry = _ask(call, helper, registry, seconds)
        except _CredentialsError as exc:
            failed.add(helper or "")
            warn(f"{exc}: going on without it")
        try:
            entry = entry or _written(config.auths, registry)
        except _CredentialsError as exc:
            warn(f"{exc}: going on without it")
        if entry:
            found[registry] = {"serveraddress": registry} | entry
    return found


def _helper(config: DockerConfig, registry: str) -> str | None:
    name = _known_as(config.helpers, registry)
    return (config.store if name is None else config.helpers[name]) or None


def _known_as(names: Iterable[str], registry: str) -> str | None:
    """Find a registry among names that may be URLs (docker/cli, ConvertToHostname)."""
    hosts = {"docker.io", "index.docker.io"} if registry == DOCKER_HUB else {registry}
    known = [name for name in names if name == registry or _host(name) in hosts]
    return registry if registry in known else next(iter(known), None)


def _host(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _written(auths: Mapping[str, Mapping[str, str]], registry: str) -> dict[str, str]:
    entry = auths.get(_known_as(auths, registry) or "", {})
    for token in ("identitytoken", "registrytoken"):
        if entry.get(token):
            return {token: entry[token]}
    if entry.get("auth"):
        try:
            user, colon, password = b64decode(entry["auth"], validate=True).decode().partition(":")
        except ValueError:
            user, colon, password = "", "", ""
        if not user or not colon:
            raise _CredentialsError(
                f"the entry for {registry} in docker's config.json is no user and password in base64"
            )
        return {"username": user, "password": password.strip("\0")}
    if entry.get("username"):
        return {"username": entry["username"], "password": entry.get("password", "")}
    return {}


def _ask(call: Call, helper: str, registry: str, seconds: float) -> dict[str, str]:
    program = f"{_PROGRAM}{helper}"
    code, output = _run(call, program, registry, seconds)
    if code != 0:
        if output.strip() == _NOTHING:
            return {}
        raise _CredentialsError(
            f"{program} has failed with exit code {code} (`echo {registry} | {program} get` shows why)"
        )
    try:
        answer: Any = json.loads(output)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _CredentialsError(f"{program} has answered something else than credentials")
    if user == _TOKEN_USER:
        return {"identitytoken": secret}
    return {"username": user, "password": secret} if user or secret else {}


def _run(call: Call, program: str, registry: str, seconds: float) -> tuple[int, bytes]:
    """Ask a program, and read what it prints; at the deadline, or when the call ends, it is ended."""
    question, answer = os.pipe(), os.pipe()
    try:
        os.write(question[1], registry.encode())  # a pipe holds more than any registry's name
        child = Child([program, "get"], stdin=question[0], stdout=answer[1], stderr=subprocess.DEVNULL)
    except OSError as exc:
        os.close(answer[0])
        raise _CredentialsError(f"{program} cannot be started ({exc.strerror})") from exc
    finally:
        for end in (*question, answer[1]):
            os.close(end)
    with closing(child), open(answer[0], "rb", buffering=0) as output:  # noqa: PTH123 - a pipe has no path
        call.adopt(child)
        until = time.monotonic() + seconds
        text = _output(call, output.fileno(), until)
        code = None if text is None else child.ended(max(0.0, until - time.monotonic()))
        call.check()  # it may have been ended with the call
        if text is None or code is None:
            child.shutdown()
            raise _CredentialsError(f"{program} has not answered within {seconds:g} s")
        return code, text


def _output(call: Call, output: int, until: float) -> bytes | None:
    """Read to the end; None at the deadline, or when there is no end to it."""
    text = b""
    poller = select.poll()
    poller.register(output, select.POLLIN)
    while time.monotonic() < until and len(text) <= _MAX_BYTES:
        call.check()
        if poller.poll(_POLL_SECONDS * 1000):
            piece = os.read(output, _MAX_BYTES)
            if not piece:
                return text
            text += piece
    return None
