"""What became of a container, in words."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_messages import (
    ended,
    health_said,
    log_said,
    not_active,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings

_MEMORY = "its limit is 64.5 MB (container_memory_mb, DEPLOYMENT_RECEIVER_CONTAINER_MEMORY_MB)"


@pytest.mark.parametrize(
    ("end", "error", "words"),
    [
        (ContainerEnd(3, oom_killed=False), "", "it ended with exit code 3"),
        (ContainerEnd(None, oom_killed=False), "", "it ended"),
        (ContainerEnd(127, oom_killed=False), "no such file", "it ended with exit code 127: no such file"),
        (
            ContainerEnd(137, oom_killed=True),
            "",
            f"it ended with exit code 137, after a process of it was killed for memory: {_MEMORY}",
        ),
    ],
)
def test_an_end_is_told_with_its_reason(end: ContainerEnd, error: str, words: str) -> None:
    """The limit by its setting."""
    assert words == ended(end, ReceiverSettings(container_memory_mb=64.5), error)


def test_what_does_not_run_is_told_in_the_engines_word() -> None:
    """Or that it is gone."""
    assert "it is paused" == not_active(ContainerFacts("1", "hello", "paused"))
    assert "it is not there any more: somebody else has removed it" == not_active(None)


@pytest.mark.parametrize(
    "line",
    [
        "chown: /data: Operation not permitted",
        'failed switching to "redis": operation not permitted',
        "PermissionError: [Errno 13] Permission denied: '/var/lib/x'",
        "Error: EPERM, chown '/data'",
        "setgroups: EACCES",
    ],
)
def test_a_refused_operation_is_explained(line: str) -> None:
    """However a program writes it."""
    told = log_said(f"\n{line}")

    assert f"\nThe end of its log:\n{line}\nIts log says that an operation was refused" in told
    assert "a started container has no capabilities" in told


@pytest.mark.parametrize(("log", "told"), [("", ""), ("\nbye", "\nThe end of its log:\nbye")])
def test_any_other_log_is_told_as_it_is(log: str, told: str) -> None:
    """Nothing where there is none."""
    assert told == log_said(log)


def test_a_health_check_is_told_by_what_it_said() -> None:
    """Nothing where it said nothing."""
    assert "\nIts health check said:\nno" == health_said(ContainerFacts("1", "a", "running", health_output="\nno"))
    assert "" == health_said(ContainerFacts("1", "a", "running"))
