"""Whether a new container has proved itself."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    ContainerEnd,
    ContainerFacts,
    ContainerLimits,
    ContainerSpec,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.readiness import NotProvenError, Proving
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.runtime import FakeRuntime

SPEC = ContainerSpec("one", "hello", {}, ContainerLimits(1, None, 1, 1, 1))


async def nothing(_: str) -> None:
    """Happens before and after."""


@pytest.fixture
async def runtime() -> FakeRuntime:
    """An engine without containers."""
    return FakeRuntime(nothing, nothing)


async def proven(runtime: FakeRuntime, facts: dict[str, Any] | None = None, **settings: float) -> ContainerFacts:
    """Start a container, have something become of it, and see whether it proves itself."""
    container_id = await runtime.create(SPEC)
    await runtime.start(container_id)
    runtime.change(container_id, **(facts or {}))
    return await Proving(ReceiverSettings(**({"start_watch_seconds": 0.01} | settings))).proven(runtime, container_id)


async def trouble(runtime: FakeRuntime, facts: dict[str, Any] | None = None, **settings: float) -> NotProvenError:
    """Start a container that does not."""
    with pytest.raises(NotProvenError) as caught:
        await proven(runtime, facts, **settings)
    return caught.value


async def test_a_container_that_stays_up_is_proved(runtime: FakeRuntime) -> None:
    """As the engine sees it at the end of the watch."""
    assert (await proven(runtime)).running


async def test_a_healthy_one_is_proved_at_once(runtime: FakeRuntime) -> None:
    """However long the watch is."""
    assert "healthy" == (await proven(runtime, {"health": "healthy"}, start_watch_seconds=3600)).health


@pytest.mark.parametrize("exit_code", [0, 3])
async def test_one_that_ends_is_not(runtime: FakeRuntime, exit_code: int) -> None:
    """With whatever exit code; there is a way out for an image that ends well."""
    runtime.ends["one"] = ContainerEnd(exit_code, oom_killed=False)
    runtime.log = "\nbye"
    error = await trouble(runtime)

    assert error.message.startswith(f"it ended with exit code {exit_code}")
    assert (exit_code == 0) == ("leave --run off" in error.message)
    assert ("\nThe end of its log:\nbye", runtime.ends["one"]) == (error.details, error.end)


async def test_an_unhealthy_one_is_not(runtime: FakeRuntime) -> None:
    """What the check said is told."""
    error = await trouble(runtime, {"health": "unhealthy", "health_output": "\nno database"})

    assert ("it is unhealthy by its own health check", "\nIts health check said:\nno database") == (
        error.message,
        error.details,
    )


async def test_a_health_check_has_its_own_time(runtime: FakeRuntime) -> None:
    """After it a container that is still starting has not proved itself, although it is up."""
    error = await trouble(runtime, {"health": "starting", "health_within_seconds": 0.02})

    assert "its health check has come to no verdict within 0.02 s" == error.message


async def test_a_health_check_has_no_more_than_the_setting(runtime: FakeRuntime) -> None:
    """Which the message names."""
    facts = {"health": "starting", "health_within_seconds": 3600}
    error = await trouble(runtime, facts, health_timeout_seconds=0.02)

    assert (
        "its health check has come to no verdict within 0.02 s (health_timeout_seconds,"
        " DEPLOYMENT_RECEIVER_HEALTH_TIMEOUT_SECONDS)"
    ) == error.message


@pytest.mark.parametrize("status", ["paused", "created"])
async def test_one_that_does_not_run_is_not(runtime: FakeRuntime, status: str) -> None:
    """The engine's word is told."""
    assert f"it is {status}" == (await trouble(runtime, {"status": status})).message


async def test_one_that_is_gone_is_not(runtime: FakeRuntime) -> None:
    """Somebody has removed it."""
    with pytest.raises(NotProvenError, match="it is not there any more"):
        await Proving(ReceiverSettings(start_watch_seconds=0.01)).proven(runtime, "gone")
