"""Starts the container of an image, with options that are the same for every one."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from docker.errors import DockerException, NotFound

from ..errors import DeploymentSenderError, ErrorCode
from .engine_call import Call
from .engine_connection import EngineClient, connected, member
from .engine_endpoint import Endpoint
from .engine_errors import translated
from .engine_scrub import LINE_BREAK, plain

__all__ = ["OURS", "container_runs", "run_container", "settle_container"]

# Marks what we may stop and remove.
OURS = "omninode.deployment.managed"

_WATCH_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 10
_LOG_LINES = 30
_LOG_CHARACTERS = 4096
# An image gets no more than it needs to serve: no capability, no way to gain one, no mount, the default bridge, and
# not all of the memory and processes. A crash is tried three times more: a deployed service shall outlive a hiccup,
# but one that cannot run shall not do so for ever.
_OPTIONS: dict[str, Any] = {
    "privileged": False,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 512,
    "mem_limit": 512 * 1024 * 1024,
    "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3},
}


def run_container(endpoint: Endpoint, call: Call, reference: str, name: str, labels: Mapping[str, str]) -> str:
    """Start a container, in a worker's thread; one of the same name goes only when the new one stays up.

    The new container is `<name>.next` until it has been up for a second, the old one `<name>.old` until it has
    stopped; whatever breaks this off, `settle_container` puts it in order.

    Args:
        endpoint: Where the engine is.
        call: Breaks it off.
        reference: The image; must be there.
        name: The container's.
        labels: Added to our own.

    Returns:
        The engine's id of the container.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    task = f"The container {name} could not be started"
    with connected(endpoint, call) as client, translated(endpoint.address, task):
        _settle(client, name)
        replaces = _is_ours(client, name)
        if replaces is False:
            raise DeploymentSenderError(
                ErrorCode.BUILD_FAILED, f"{task}: a container of that name is there, and it is not ours"
            )
        created = client.create_container(
            reference,
            name=_next(name),
            labels={**labels, OURS: "true"},
            host_config=client.create_host_config(**_OPTIONS),
        )
        container_id = str(member(created, "Id"))
        client.start(container_id)
        if trouble := _watch(client, call, container_id):
            raise DeploymentSenderError(ErrorCode.BUILD_FAILED, f"{task}: {trouble}")
        if replaces:
            client.rename(name, _old(name))
        client.rename(container_id, name)
        _settle(client, name)
        return container_id


def settle_container(endpoint: Endpoint, call: Call, name: str) -> None:
    """Undo a start that was broken off: the old container keeps its name, or gets it back.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    with connected(endpoint, call) as client, translated(endpoint.address, f"The container {name} could not be undone"):
        _settle(client, name)


def container_runs(endpoint: Endpoint, call: Call, container_id: str) -> bool | None:
    """Return whether a container runs, in a worker's thread; None if there is none of that id.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The Docker Engine at {endpoint.address} does not describe the container {container_id}"
    with connected(endpoint, call) as client, translated(endpoint.address, task, ErrorCode.DOCKER_UNAVAILABLE):
        try:
            return bool(member(client.inspect_container(container_id), "State").get("Running"))
        except NotFound:
            return None


def _next(name: str) -> str:
    return f"{name}.next"


def _old(name: str) -> str:
    return f"{name}.old"


def _settle(client: EngineClient, name: str) -> None:
    if _is_ours(client, _next(name)):
        client.remove_container(_next(name), force=True)
    if _is_ours(client, _old(name)):
        if _is_ours(client, name) is None:
            client.rename(_old(name), name)
        else:
            client.stop(_old(name), timeout=_STOP_SECONDS)
            client.remove_container(_old(name), force=True)


def _is_ours(client: EngineClient, name: str) -> bool | None:
    """Tell whether the container of that name is ours; None if there is none."""
    try:
        answer = client.inspect_container(name)
    except NotFound:
        return None
    if member(answer, "Name") != f"/{name}":  # the engine takes the beginning of an id, too
        return None
    return OURS in (member(answer, "Config", "Labels") or {})


def _watch(client: EngineClient, call: Call, container_id: str) -> str | None:
    """See that the container stays up for a second, or ends well; else tell what became of it."""
    for _ in range(round(_WATCH_SECONDS / _LOOK_SECONDS)):
        call.sleep(_LOOK_SECONDS)
        answer = client.inspect_container(container_id)
        state = member(answer, "State")
        code = state.get("ExitCode")
        if answer.get("RestartCount") or state.get("Restarting") or (not state.get("Running") and code != 0):
            return f"it ended at once, with exit code {code}{_log_tail(client, container_id)}"
        if not state.get("Running"):
            return None
    return None


def _log_tail(client: EngineClient, container_id: str) -> str:
    text = ""
    with suppress(DockerException):  # a log driver may keep none that can be read
        text = client.logs(container_id, tail=_LOG_LINES).decode("utf-8", "replace")[-_LOG_CHARACTERS:]
    return "".join(f"\n{plain(line)}" for line in LINE_BREAK.split(text) if line)
