"""An engine's description of a container."""

from typing import Any

import pytest
from docker.errors import DockerException

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.container_facts import container_facts
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerFacts

NEVER = "0001-01-01T00:00:00Z"


def description(config: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """Return a description as Docker 20.10 sends it."""
    states = {"Status": "running", "OOMKilled": False, "ExitCode": 0, "Error": "", "FinishedAt": NEVER}
    return {"Id": "1", "Name": "/hello", "RestartCount": 0, "State": states | state, "Config": config or {}}


def test_a_running_container_has_no_exit_code() -> None:
    """The engine sends 0 then."""
    assert ContainerFacts("1", "hello", "running") == container_facts(description())


def test_an_exited_container_has_an_exit_code_and_a_time() -> None:
    """The time by the engine's clock, in nine digits or fewer."""
    facts = container_facts(
        description(Status="exited", ExitCode=137, OOMKilled=True, FinishedAt="2026-11-27T22:23:41.250119548Z")
    )

    assert (137, True, 1795818221.250119) == (facts.exit_code, facts.oom_killed, facts.finished_at)
    assert 1795818221.25 == container_facts(description(FinishedAt="2026-11-27T22:23:41.25Z")).finished_at


def test_volumes_are_named_by_path() -> None:
    """And nothing else that is mounted."""
    mounts = [{"Type": "volume", "Name": "v", "Destination": "/data"}, {"Type": "tmpfs", "Destination": "/run"}]

    assert {"/data": "v"} == container_facts(description() | {"Mounts": mounts}).volumes


@pytest.mark.parametrize(
    ("check", "seconds"),
    [
        ({"Interval": 5_000_000_000, "Timeout": 1_000_000_000, "Retries": 2, "StartPeriod": 20_000_000_000}, 32),
        ({"Retries": 0}, 180),
        ({}, 0),
    ],
)
def test_a_health_check_has_its_own_time(check: dict[str, int], seconds: float) -> None:
    """It lasts until the container is healthy or unhealthy; the engine has defaults for missing settings."""
    assert seconds == container_facts(description({"Healthcheck": check})).health_within_seconds


def test_the_last_output_of_a_health_check_is_kept() -> None:
    """Control characters are removed."""
    log = [{"Output": "old"}, {"Output": "\x1b[1mno database\x1b[0m\nbye\n"}]
    facts = container_facts(description(Health={"Status": "unhealthy", "Log": log}))

    assert ("unhealthy", "\nno database\nbye") == (facts.health, facts.health_output)


@pytest.mark.parametrize("health", [None, {"Status": "none"}, {"Status": "starting", "Log": []}])
def test_a_health_check_may_have_no_output_yet(health: dict[str, Any] | None) -> None:
    """Or the container has none."""
    facts = container_facts(description(Health=health))

    assert ("", {None, "starting"}) == (facts.health_output, {facts.health, None, "starting"})


@pytest.mark.parametrize("broken", [{}, {"State": {}, "Config": {}}, {"State": {"Status": "running"}}])
def test_a_description_without_a_field_is_an_error(broken: dict[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(DockerException, match="its response has no"):
        container_facts(broken)
