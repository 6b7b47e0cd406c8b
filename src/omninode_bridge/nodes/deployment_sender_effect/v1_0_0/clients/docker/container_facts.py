"""Reads an engine's description of a container (`GET /containers/{id}/json`)."""

import re
from datetime import datetime
from typing import Any

from ...ports import ContainerFacts
from .connection import required_field
from .redact import LINE_BREAK, strip_control_characters

__all__ = ["container_facts", "strip_lines"]

# The end of a health check's output in a message; the engine itself keeps 4096 (moby, daemon/health.go).
_OUTPUT_CHARACTERS = 1024
_NANOSECONDS_PER_SECOND = 1e9
# Go writes up to nine digits of a second; datetime reads six. The zero time means never.
_FRACTION = re.compile(r"(?<=\.)(\d{6})\d+")
_NEVER = "0001-01-01"
# The defaults of a health check, which 0 stands for (github.com/moby/moby, daemon/health.go).
_INTERVAL_SECONDS, _TIMEOUT_SECONDS, _RETRIES = 30.0, 30.0, 3


def container_facts(container: Any) -> ContainerFacts:
    """Return the facts of an engine's description.

    Raises:
        DockerException: A field is missing.
    """
    state, config = required_field(container, "State"), required_field(container, "Config")
    status = str(required_field(state, "Status"))
    health = state.get("Health") or {}
    return ContainerFacts(
        container_id=str(required_field(container, "Id")),
        name=str(required_field(container, "Name")).removeprefix("/"),
        status=status,
        labels=dict(config.get("Labels") or {}),
        exit_code=None if status in {"running", "paused", "created"} else int(required_field(state, "ExitCode")),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(container.get("RestartCount") or 0),
        error=strip_control_characters(str(state.get("Error") or "")),
        finished_at=_unix_seconds(str(state.get("FinishedAt") or _NEVER)),
        volumes={
            str(mount["Destination"]): str(mount["Name"])
            for mount in container.get("Mounts") or ()
            if mount.get("Type") == "volume"
        },
        health=health.get("Status") if health.get("Status") in {"starting", "healthy", "unhealthy"} else None,
        health_output=_last_output(health),
        health_within_seconds=_within_seconds(config.get("Healthcheck") or {}),
    )


def strip_lines(text: str) -> str:
    """Return the lines without control characters, each with a line break before it."""
    return "".join(f"\n{strip_control_characters(line)}" for line in LINE_BREAK.split(text) if line)


def _unix_seconds(text: str) -> float | None:
    return None if text.startswith(_NEVER) else datetime.fromisoformat(_FRACTION.sub(r"\1", text)).timestamp()


def _last_output(health: dict[str, Any]) -> str:
    results = health.get("Log") or ()
    return strip_lines(str(results[-1].get("Output") or "")[-_OUTPUT_CHARACTERS:]) if results else ""


def _within_seconds(check: dict[str, Any]) -> float:
    """Return how long it may take until the engine reports a container as healthy or unhealthy."""
    if not check:
        return 0
    interval, timeout, start_period = (
        (check.get(name) or 0) / _NANOSECONDS_PER_SECOND for name in ("Interval", "Timeout", "StartPeriod")
    )
    one_check = (interval or _INTERVAL_SECONDS) + (timeout or _TIMEOUT_SECONDS)
    return start_period + one_check * (int(check.get("Retries") or 0) or _RETRIES)
