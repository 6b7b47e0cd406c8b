"""Messages about containers, for the operator who has to fix the problem."""

import re

from ...ports import ContainerEnd, ContainerFacts
from ...settings import ReceiverSettings

__all__ = [
    "GONE",
    "capabilities_hint",
    "describe_end",
    "describe_inactive",
    "describe_memory_limit",
    "quote_health_output",
    "quote_log",
]

# About a container that its engine no longer has, without its subject.
GONE = "no longer exists; it was not removed by this receiver"

# strerror(3) of EPERM and EACCES and their names, as programs write them when the kernel refuses a system call.
_REFUSED = re.compile(r"operation not permitted|permission denied|\bEPERM\b|\bEACCES\b", re.IGNORECASE)
_CAPABILITIES_HINT = (
    "\nThe log says that an operation was refused. Containers are started without capabilities, so their root user"
    " cannot change owners (chown), become another user (setuid, setgroups, su, gosu) or open other users' files. Set"
    " owners when the image is built, and name its user with USER in the Dockerfile."
)


def describe_end(end: ContainerEnd, settings: ReceiverSettings, error: str = "") -> str:
    """Return how the process of a container ended, with `it` for the process.

    Args:
        end: The exit code, and whether the kernel killed it for memory.
        settings: Name the limits.
        error: The engine's own message, if the process could not be started.
    """
    message = "it ended" if end.exit_code is None else f"it ended with exit code {end.exit_code}"
    if end.oom_killed:
        message += f", after one of its processes was killed for memory: {describe_memory_limit(settings)}"
    return f"{message}: {error}" if error else message


def describe_memory_limit(settings: ReceiverSettings) -> str:
    """Return the memory limit of a container and the setting that holds it."""
    variable = settings.env_name("container_memory_mb")
    return f"its limit is {settings.container_memory_mb:g} MB (container_memory_mb, {variable})"


def describe_inactive(facts: ContainerFacts | None) -> str:
    """Return why a container does not run, where no exit code says why; `it` is the container.

    Args:
        facts: The container; None if the engine no longer has it.
    """
    return f"it {GONE}" if facts is None else f"it is {facts.status}"


def quote_log(log: str) -> str:
    """Return the end of a log as further lines of a message, with a hint where it shows a missing capability.

    Args:
        log: Lines, each with a line break before it.
    """
    return f"\nThe end of its log:{log}{capabilities_hint(log)}" if log else ""


def capabilities_hint(log: str) -> str:
    """Return a paragraph about capabilities if a log shows that one was missing; else nothing."""
    return _CAPABILITIES_HINT if _REFUSED.search(log) else ""


def quote_health_output(facts: ContainerFacts) -> str:
    """Return the output of the last health check as further lines of a message."""
    return f"\nThe output of its health check:{facts.health_output}" if facts.health_output else ""
