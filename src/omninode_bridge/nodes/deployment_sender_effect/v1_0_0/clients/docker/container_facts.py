"""Reads what an engine answers about a container (`GET /containers/{id}/json`)."""

import re
from datetime import datetime
from typing import Any

from ...ports import ContainerFacts
from .connection import member
from .redact import LINE_BREAK, strip_control_characters

__all__ = ["container_facts", "lines"]

_OUTPUT_CHARACTERS = 1024
_NANOSECONDS = 1e9
# Go writes up to nine digits of a second; datetime reads six. The zero time stands for never.
_FRACTION = re.compile(r"(?<=\.)(\d{6})\d+")
_NEVER = "0001-01-01"
# What stands for 0 in a health check (github.com/moby/moby, daemon/health.go).
_INTERVAL_SECONDS, _TIMEOUT_SECONDS, _RETRIES = 30.0, 30.0, 3


def container_facts(answer: Any) -> ContainerFacts:
    """Read the answer.

    Raises:
        DockerException: It is none.
    """
    state, config = member(answer, "State"), member(answer, "Config")
    status = str(member(state, "Status"))
    health = state.get("Health") or {}
    return ContainerFacts(
        container_id=str(member(answer, "Id")),
        name=str(member(answer, "Name")).removeprefix("/"),
        status=status,
        labels=dict(config.get("Labels") or {}),
        exit_code=None if status in {"running", "paused", "created"} else int(member(state, "ExitCode")),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(answer.get("RestartCount") or 0),
        error=strip_control_characters(str(state.get("Error") or "")),
        finished_at=_unix_seconds(str(state.get("FinishedAt") or _NEVER)),
        volumes={
            str(mount["Destination"]): str(mount["Name"])
            for mount in answer.get("Mounts") or ()
            if mount.get("Type") == "volume"
        },
        health=health.get("Status") if health.get("Status") in {"starting", "healthy", "unhealthy"} else None,
        health_output=_last_output(health),
        health_within_seconds=_within_seconds(config.get("Healthcheck") or {}),
    )


def lines(text: str) -> str:
    """Put a line break before each line, and leave out what would play with a terminal."""
    return "".join(f"\n{strip_control_characters(line)}" for line in LINE_BREAK.split(text) if line)


def _unix_seconds(text: str) -> float | None:
    return None if text.startswith(_NEVER) else datetime.fromisoformat(_FRACTION.sub(r"\1", text)).timestamp()


def _last_output(health: dict[str, Any]) -> str:
    results = health.get("Log") or ()
    return lines(str(results[-1].get("Output") or "")[-_OUTPUT_CHARACTERS:]) if results else ""


def _within_seconds(check: dict[str, Any]) -> float:
    """Add up how long it may take until a container is told to be healthy or not."""
    if not check:
        return 0
    interval, timeout, start_period = (
        (check.get(name) or 0) / _NANOSECONDS for name in ("Interval", "Timeout", "StartPeriod")
    )
    one = (interval or _INTERVAL_SECONDS) + (timeout or _TIMEOUT_SECONDS)
    return start_period + one * (int(check.get("Retries") or 0) or _RETRIES)
