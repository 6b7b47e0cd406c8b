"""What became of a container, in words for a person who has to do something about it."""

import re

from ...ports import ContainerEnd, ContainerFacts
from ...settings import ReceiverSettings

__all__ = ["about_capabilities", "ended", "health_said", "log_said", "memory_limit", "not_active"]

# strerror(3) of EPERM and EACCES and their names, as programs write them when the kernel refuses a system call.
_REFUSED = re.compile(r"operation not permitted|permission denied|\bEPERM\b|\bEACCES\b", re.IGNORECASE)
_ABOUT_CAPABILITIES = (
    "\nIts log says that an operation was refused: a started container has no capabilities, so root in it can neither"
    " change owners (chown) nor become another user (setuid, setgroups, su, gosu) nor open other users' files. Set"
    " owners when the image is built, and name its user with USER in the Dockerfile."
)


def ended(end: ContainerEnd, settings: ReceiverSettings, error: str = "") -> str:
    """Tell how a process ended.

    Args:
        end: Its end.
        settings: Name the limits.
        error: The engine's own words, if it could not be started.
    """
    words = "it ended" if end.exit_code is None else f"it ended with exit code {end.exit_code}"
    if end.oom_killed:
        words += f", after a process of it was killed for memory: {memory_limit(settings)}"
    return f"{words}: {error}" if error else words


def memory_limit(settings: ReceiverSettings) -> str:
    """Tell the memory limit and where it is set."""
    variable = settings.env_name("container_memory_mb")
    return f"its limit is {settings.container_memory_mb:g} MB (container_memory_mb, {variable})"


def not_active(facts: ContainerFacts | None) -> str:
    """Tell that a container does not run, where its process's end does not say why."""
    if facts is None:
        return "it is not there any more: somebody else has removed it"
    return f"it is {facts.status}"


def log_said(log: str) -> str:
    """Tell the end of a log, and what it shows of dropped capabilities."""
    return f"\nThe end of its log:{log}{about_capabilities(log)}" if log else ""


def about_capabilities(log: str) -> str:
    """Tell that capabilities are dropped if a log shows that one was missing."""
    return _ABOUT_CAPABILITIES if _REFUSED.search(log) else ""


def health_said(facts: ContainerFacts) -> str:
    """Tell the output of the last health check."""
    return f"\nIts health check said:{facts.health_output}" if facts.health_output else ""
