"""Credentials for registries, from docker's configuration and the helper programs that it names.

No error here ends a build: most builds need no credentials, and the registry refuses one that does.
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

# github.com/docker/docker-credential-helpers: the programs' names, their input and output, and their message when they
# have no credentials.
_PROGRAM = "docker-credential-"
_NONE_FOUND = b"credentials not found in native keychain"
_IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - a fixed user name; the secret beside it is an identity token
# 64 KiB: of a helper's output; tokens have a few KB.
_MAX_BYTES = 64 << 10
# How soon an abort is noticed while a helper runs.
_POLL_SECONDS = 0.1


class _CredentialsError(Exception):
    """Credentials could not be read; the message holds no secret."""


def credentials_for(
    call: Call, config: DockerConfig, registries: Iterable[str], seconds: float, warn: Callable[[str], None]
) -> dict[str, dict[str, str]]:
    """Find the credentials for registries; those without credentials are left out.

    Args:
        call: Aborts a helper.
        config: Docker's configuration.
        registries: As `registries_in` names them; helpers are called for these only.
        seconds: For one run of a helper. A helper that was too slow or failed is not called again.
        warn: Called with a message for each error.

    Returns:
        By registry, its entry in the form of github.com/moby/moby, api/types/registry/authconfig.go.
    """
    if config.problem:
        warn(f"{config.problem}: going on without it")
    failed: set[str] = set()
    found = {}
    for registry in registries:
        entry: dict[str, str] = {}
        helper = _helper(config, registry)
        try:
            if helper is not None and helper not in failed:
                entry = _from_helper(call, helper, registry, seconds)
        except _CredentialsError as exc:
            failed.add(helper or "")
            warn(f"{exc}: going on without it")
        try:
            entry = entry or _from_file(config.auths, registry)
        except _CredentialsError as exc:
            warn(f"{exc}: going on without it")
        if entry:
            found[registry] = {"serveraddress": registry} | entry
    return found


def _helper(config: DockerConfig, registry: str) -> str | None:
    name = _name_of(config.helpers, registry)
    return (config.store if name is None else config.helpers[name]) or None


def _name_of(names: Iterable[str], registry: str) -> str | None:
    """Find the name of a registry among names that may be URLs (docker/cli, ConvertToHostname)."""
    hosts = {"docker.io", "index.docker.io"} if registry == DOCKER_HUB else {registry}
    known = [name for name in names if name == registry or _host(name) in hosts]
    return registry if registry in known else next(iter(known), None)


def _host(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _from_file(auths: Mapping[str, Mapping[str, str]], registry: str) -> dict[str, str]:
    entry = auths.get(_name_of(auths, registry) or "", {})
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
                f"the entry for {registry} in docker's config.json is not a user and a password in base64"
            )
        return {"username": user, "password": password.strip("\0")}
    if entry.get("username"):
        return {"username": entry["username"], "password": entry.get("password", "")}
    return {}


def _from_helper(call: Call, helper: str, registry: str, seconds: float) -> dict[str, str]:
    program = f"{_PROGRAM}{helper}"
    code, output = _run_helper(call, program, registry, seconds)
    if code != 0:
        if output.strip() == _NONE_FOUND:
            return {}
        raise _CredentialsError(f"{program} failed with exit code {code} (`echo {registry} | {program} get` shows why)")
    try:
        entry: Any = json.loads(output)
        user, secret = entry["Username"], entry["Secret"]
    except (ValueError, KeyError, TypeError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _CredentialsError(f"the output of {program} is not a user and a secret")
    if user == _IDENTITY_TOKEN_USER:
        return {"identitytoken": secret}
    return {"username": user, "password": secret} if user or secret else {}


def _run_helper(call: Call, program: str, registry: str, seconds: float) -> tuple[int, bytes]:
    """Run a program; return its exit code and its output. It is ended at the deadline, or when the call ends."""
    (stdin, stdin_writer), (stdout_reader, stdout) = os.pipe(), os.pipe()
    try:
        os.write(stdin_writer, registry.encode())  # a pipe holds more than any registry's name
        child = Child([program, "get"], stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
    except OSError as exc:
        os.close(stdout_reader)
        raise _CredentialsError(f"{program} cannot be started ({exc.strerror})") from exc
    finally:
        for end in (stdin, stdin_writer, stdout):
            os.close(end)
    with closing(child), os.fdopen(stdout_reader, "rb", buffering=0) as output:
        call.register(child)
        deadline = time.monotonic() + seconds
        text = _read_to_end(call, output.fileno(), deadline)
        code = None if text is None else child.wait(max(0.0, deadline - time.monotonic()))
        call.raise_if_aborted()  # the program may have ended because of that
        if text is None or code is None:
            child.shutdown()
            raise _CredentialsError(f"{program} has not ended within {seconds:g} s")
        return code, text


def _read_to_end(call: Call, output: int, deadline: float) -> bytes | None:
    """Read to the end; return None at the deadline, or after too many bytes."""
    text = b""
    poller = select.poll()
    poller.register(output, select.POLLIN)
    while time.monotonic() < deadline and len(text) <= _MAX_BYTES:
        call.raise_if_aborted()
        if poller.poll(_POLL_SECONDS * 1000):
            piece = os.read(output, _MAX_BYTES)
            if not piece:
                return text
            text += piece
    return None
