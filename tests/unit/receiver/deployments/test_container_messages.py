"""Messages about containers."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerFacts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_messages import (
    describe_end,
    describe_inactive,
    quote_health_output,
    quote_log,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings

_MEMORY = "its limit is 64.5 MB (container_memory_mb, DEPLOYMENT_RECEIVER_CONTAINER_MEMORY_MB)"


@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        (ContainerEnd(3, oom_killed=False), "", "it ended with exit code 3"),
        (ContainerEnd(None, oom_killed=False), "", "it ended"),
        (ContainerEnd(127, oom_killed=False), "no such file", "it ended with exit code 127: no such file"),
        (
            ContainerEnd(137, oom_killed=True),
            "",
            f"it ended with exit code 137, after one of its processes was killed for memory: {_MEMORY}",
        ),
    ],
)
def test_the_end_of_a_process_is_described_with_its_reason(end: ContainerEnd, error: str, message: str) -> None:
    """A limit is named with its setting."""
    assert message == describe_end(end, ReceiverSettings(container_memory_mb=64.5), error)


def test_a_container_that_does_not_run_is_described_by_its_status() -> None:
    """Or as removed."""
    assert "it is paused" == describe_inactive(ContainerFacts("1", "hello", "paused"))
    assert "it no longer exists; it was not removed by this receiver" == describe_inactive(None)


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
def test_a_log_with_a_refused_operation_gets_a_hint(line: str) -> None:
    """However a program writes it."""
    quoted = quote_log(f"\n{line}")

    assert f"\nThe end of its log:\n{line}\nThe log says that an operation was refused" in quoted
    assert "Containers are started without capabilities" in quoted


@pytest.mark.parametrize(("log", "quoted"), [("", ""), ("\nbye", "\nThe end of its log:\nbye")])
def test_any_other_log_is_quoted_without_a_hint(log: str, quoted: str) -> None:
    """An empty log is not mentioned."""
    assert quoted == quote_log(log)


def test_the_output_of_a_health_check_is_quoted() -> None:
    """An empty output is not mentioned."""
    facts = ContainerFacts("1", "a", "running", health_output="\nno")
    assert "\nThe output of its health check:\nno" == quote_health_output(facts)
    assert "" == quote_health_output(ContainerFacts("1", "a", "running"))
