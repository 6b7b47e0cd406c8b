"""Whether a new container is ready."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    ContainerEnd,
    ContainerFacts,
    ContainerLimits,
    ContainerSpec,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.readiness import (
    NotReadyError,
    ReadinessCheck,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.runtime import FakeRuntime

SPEC = ContainerSpec("one", "hello", {}, ContainerLimits(1, None, 1, 1, 1))


async def nothing(_: str) -> None:
    """Do nothing before and after each call."""


@pytest.fixture
async def runtime() -> FakeRuntime:
    """Return a runtime without containers."""
    return FakeRuntime(nothing, nothing)


async def ready(runtime: FakeRuntime, facts: dict[str, Any] | None = None, **settings: float) -> ContainerFacts:
    """Start a container, change it, and wait until it is ready."""
    container_id = await runtime.create(SPEC)
    await runtime.start(container_id)
    runtime.change(container_id, **(facts or {}))
    check = ReadinessCheck(ReceiverSettings(**({"start_watch_seconds": 0.01} | settings)))
    return await check.wait_until_ready(runtime, container_id)


async def not_ready(runtime: FakeRuntime, facts: dict[str, Any] | None = None, **settings: float) -> NotReadyError:
    """Start a container that does not become ready; return the error."""
    with pytest.raises(NotReadyError) as caught:
        await ready(runtime, facts, **settings)
    return caught.value


async def test_a_container_that_stays_up_is_ready(runtime: FakeRuntime) -> None:
    """Its facts are those at the end of the watch."""
    assert (await ready(runtime)).running


async def test_a_healthy_container_is_ready_at_once(runtime: FakeRuntime) -> None:
    """However long the watch is."""
    assert "healthy" == (await ready(runtime, {"health": "healthy"}, start_watch_seconds=3600)).health


@pytest.mark.parametrize("exit_code", [0, 3])
async def test_a_container_that_ends_is_not_ready(runtime: FakeRuntime, exit_code: int) -> None:
    """With any exit code; for an image that ends with 0 the message says what to do."""
    runtime.ends["one"] = ContainerEnd(exit_code, oom_killed=False)
    runtime.log = "\nbye"
    error = await not_ready(runtime)

    assert error.message.startswith(f"it ended with exit code {exit_code}")
    assert (exit_code == 0) == ("leave --run off" in error.message)
    assert ("\nThe end of its log:\nbye", runtime.ends["one"]) == (error.details, error.end)


async def test_an_unhealthy_container_is_not_ready(runtime: FakeRuntime) -> None:
    """The output of the check is in the details."""
    error = await not_ready(runtime, {"health": "unhealthy", "health_output": "\nno database"})

    assert ("it is unhealthy by its own health check", "\nThe output of its health check:\nno database") == (
        error.message,
        error.details,
    )


async def test_a_health_check_has_the_time_of_its_own_settings(runtime: FakeRuntime) -> None:
    """After it a container that is still starting is not ready, although it is up."""
    error = await not_ready(runtime, {"health": "starting", "health_within_seconds": 0.02})

    assert "its health check has not finished within 0.02 s" == error.message


async def test_a_health_check_has_no_more_time_than_the_setting(runtime: FakeRuntime) -> None:
    """The message names the setting."""
    facts = {"health": "starting", "health_within_seconds": 3600}
    error = await not_ready(runtime, facts, health_timeout_seconds=0.02)

    assert (
        "its health check has not finished within 0.02 s (health_timeout_seconds,"
        " DEPLOYMENT_RECEIVER_HEALTH_TIMEOUT_SECONDS)"
    ) == error.message


@pytest.mark.parametrize("status", ["paused", "created"])
async def test_a_container_that_does_not_run_is_not_ready(runtime: FakeRuntime, status: str) -> None:
    """The message has the engine's word for its status."""
    assert f"it is {status}" == (await not_ready(runtime, {"status": status})).message


async def test_a_container_that_was_removed_is_not_ready(runtime: FakeRuntime) -> None:
    """By an operator, for example."""
    with pytest.raises(NotReadyError, match="it no longer exists"):
        await ReadinessCheck(ReceiverSettings(start_watch_seconds=0.01)).wait_until_ready(runtime, "gone")
