"""Deployments have the state of their containers."""

import asyncio
import shutil
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError, EngineUnavailableError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_watcher import (
    ContainerWatcher,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.services import Services
from support.engine.engines import FakeEngine
from support.eventually import eventually
from support.receiver.services import ServiceHarness, open_harness


def change(engine: FakeEngine, deployment: Deployment, **facts: object) -> None:
    """Change the container of a deployment, as the engine or an operator would."""
    assert deployment.container_id is not None
    engine.runtime.change(deployment.container_id, **facts)


async def test_a_container_that_runs_causes_no_write(harness: ServiceHarness) -> None:
    """Each write waits for the disk."""
    deployment = await harness.deploy("hello", "one")

    assert deployment == await harness.inspected(deployment)


async def test_a_change_of_health_is_recorded(harness: ServiceHarness, engine: FakeEngine) -> None:
    """A container that is unhealthy still runs."""
    deployment = await harness.deploy("hello", "one")
    change(engine, deployment, health="unhealthy")
    seen = await harness.inspected(deployment)

    assert ("running", "unhealthy") == (seen.status, seen.health)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"status": "exited", "exit_code": 143}, "the container was stopped, not by this receiver: it ended with exit"),
        ({"status": "paused", "exit_code": 0}, "the container does not run: it is paused"),
    ],
)
async def test_a_container_that_does_not_run_is_a_failure_until_it_does(
    harness: ServiceHarness, engine: FakeEngine, facts: dict[str, object], reason: str
) -> None:
    """The record has the reason, which is written once."""
    deployment = await harness.deploy("hello", "one")
    change(engine, deployment, **facts)
    failed = await harness.inspected(deployment)
    assert failed == await harness.inspected(deployment)
    assert ("failed", "BUILD_FAILED", facts["status"]) == (failed.status, failed.error_code, failed.container_status)
    assert reason in str(failed.error_message)

    change(engine, deployment, status="running", exit_code=None)
    well = await harness.wait_for(deployment, "running")
    assert ("running", None, None) == (well.container_status, well.error_code, well.error_message)


async def test_a_container_that_was_removed_is_a_failure(harness: ServiceHarness, engine: FakeEngine) -> None:
    """By an operator, for example."""
    deployment = await harness.deploy("hello", "one")
    engine.runtime.containers.clear()
    failed = await harness.inspected(deployment)

    assert ("failed", "removed") == (failed.status, failed.container_status)
    assert "the container no longer exists; it was not removed by this receiver" == failed.error_message


async def test_a_container_that_keeps_crashing_stays_failed(tmp_path: Path, engine: FakeEngine) -> None:
    """Although it runs whenever it is inspected."""
    engine.runtime.log = "\nChown: Operation not permitted"
    async with open_harness(tmp_path, engine) as harness:
        deployment = await harness.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=True)
    async with open_harness(tmp_path, engine, start_watch_seconds=3600) as harness:
        for restarts in (1, 2, 2, 3):
            change(engine, deployment, restart_count=restarts)
            seen = await harness.inspected(deployment)
            message = str(seen.error_message)
            assert ("failed", "running", restarts, 7, True) == (
                seen.status,
                seen.container_status,
                seen.restart_count,
                seen.exit_code,
                seen.oom_killed,
            )
            assert f"the engine had to restart the container {restarts} time" in message
            assert "it ended with exit code 7, after one of its processes was killed for memory" in message
            assert "Containers are started without capabilities" in message


async def test_a_container_that_stays_up_after_a_crash_runs_again(harness: ServiceHarness, engine: FakeEngine) -> None:
    """Its restarts and its last exit code remain in the record."""
    deployment = await harness.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=False)
    change(engine, deployment, restart_count=2)
    assert "failed" == (await harness.inspected(deployment)).status
    well = await harness.wait_for(deployment, "running")

    assert (2, 7, None) == (well.restart_count, well.exit_code, well.error_message)


async def test_a_restart_of_the_engine_is_no_crash(harness: ServiceHarness, engine: FakeEngine) -> None:
    """The engine counts restarts from 0 again then."""
    deployment = await harness.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=False)
    change(engine, deployment, restart_count=1)
    await harness.wait_for(deployment, "running")
    change(engine, deployment, restart_count=0)

    assert ("running", 0) == ((await harness.inspected(deployment)).status, harness.current(deployment).restart_count)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "loading"},
        {"status": "failed", "error_code": "CHECKSUM_MISMATCH"},
        {"status": "loaded", "container_id": None},
    ],
)
async def test_a_deployment_in_another_step_is_left_unchanged(
    harness: ServiceHarness, engine: FakeEngine, changes: dict[str, object]
) -> None:
    """Its status is not that of its container."""
    deployment = await harness.deploy("hello", "one")
    deployment = await harness.state.deployments.change(deployment.deployment_id, **changes)
    engine.runtime.containers.clear()

    assert deployment == await harness.inspected(deployment)


async def test_a_service_that_is_being_started_is_skipped(harness: ServiceHarness, engine: FakeEngine) -> None:
    """The start inspects it; the other services are inspected."""
    deployment, other = await harness.deploy("hello", "one"), await harness.deploy("other", "one")
    engine.runtime.containers.clear()
    async with harness.services.lock("hello"):
        await harness.watcher.inspect_all()

    assert ("running", "failed") == (harness.current(deployment).status, harness.current(other).status)


async def test_without_containers_the_engine_is_not_used(harness: ServiceHarness) -> None:
    """It may not even run."""

    async def absent() -> ContainerEngine:
        raise AssertionError("used")

    await ContainerWatcher(harness.state, harness.services, absent).inspect_all()


async def test_it_inspects_at_intervals(tmp_path: Path, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Also after errors, each of which is logged once."""
    errors = [
        EngineUnavailableError("the engine is gone"),
        EngineUnavailableError("the engine is gone"),
        RuntimeError("unexpected"),
    ]

    async def opened() -> ContainerEngine:
        if errors:
            raise errors.pop(0)
        return engine

    async with open_harness(tmp_path, engine, watch_interval_seconds=0.01) as harness:
        deployment = await harness.deploy("hello", "one")
        engine.runtime.containers.clear()
        watcher = ContainerWatcher(harness.state, harness.services, opened)
        watcher.start()
        await eventually(lambda: harness.current(deployment).status == "failed")
        await watcher.close()
        await watcher.close()

    assert 1 == caplog.text.count("the engine is gone")
    assert "unexpected" in caplog.text


async def test_a_service_with_an_error_does_not_prevent_the_inspection_of_others(
    harness: ServiceHarness, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged once."""
    await harness.deploy("hello", "one")
    other = await harness.deploy("other", "one")

    async def refuse(method: str) -> None:
        if method == "remove":
            raise EngineRefusedError("device or resource busy")

    before, engine.runtime.before = engine.runtime.before, refuse
    await harness.deploy("hello", "two")
    change(engine, other, status="exited", exit_code=1)
    caplog.clear()
    for _ in range(3):
        await harness.watcher.inspect_all()
    engine.runtime.before = before

    assert "failed" == harness.current(other).status
    assert 1 == caplog.text.count("device or resource busy")


async def with_lost_record(harness: ServiceHarness, store: Path) -> tuple[ContainerWatcher, Deployment]:
    """Deploy, and lose the record of the service; return a watcher that does not know it."""
    deployment = await harness.deploy("hello", "one")
    await asyncio.to_thread(shutil.rmtree, store / "services")

    async def opened() -> ContainerEngine:
        return harness.engine

    return ContainerWatcher(harness.state, Services(harness.state), opened), deployment


async def test_a_container_without_a_record_is_known_by_its_deployment(
    harness: ServiceHarness, engine: FakeEngine, tmp_path: Path
) -> None:
    """An earlier version of the receiver wrote no records of services."""
    watcher, deployment = await with_lost_record(harness, tmp_path)
    await watcher.inspect_all()
    assert "running" == harness.current(deployment).status
    engine.runtime.containers.clear()
    await watcher.inspect_all()
    failed = harness.current(deployment)

    assert ("failed", "BUILD_FAILED", "removed") == (failed.status, failed.error_code, failed.container_status)


async def test_a_container_without_a_record_is_skipped_while_its_successor_starts(
    harness: ServiceHarness, engine: FakeEngine, tmp_path: Path
) -> None:
    """The deployment will be replaced then, and has not failed."""
    watcher, deployment = await with_lost_record(harness, tmp_path)
    engine.runtime.containers.clear()
    async with harness.state.containers.of("hello"):
        await watcher.inspect_all()

    assert "running" == harness.current(deployment).status


async def test_a_deployment_that_changes_during_the_inspection_is_left_unchanged(
    harness: ServiceHarness, tmp_path: Path
) -> None:
    """Its new state is not that of its old container."""
    watcher, deployment = await with_lost_record(harness, tmp_path)
    changed = await harness.state.deployments.change(deployment.deployment_id, status="received")
    await watcher._check_existence(FakeEngine().runtime, deployment)

    assert changed == harness.current(deployment)


async def test_a_watcher_that_was_never_started_can_be_closed(harness: ServiceHarness) -> None:
    """A receiver may fail before it starts one."""
    await harness.watcher.close()
