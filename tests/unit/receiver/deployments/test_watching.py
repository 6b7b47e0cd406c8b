"""Deployments say what really runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.watching import Watching
from support.engine.engines import FakeEngine
from support.receiver.in_process import until
from support.receiver.services import Serving, serving_from


@pytest.fixture
async def engine() -> FakeEngine:
    """An engine without containers."""
    return FakeEngine()


@pytest.fixture
async def serving(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Serving]:
    """Services over an empty store."""
    async with serving_from(tmp_path, engine) as made:
        yield made


def become(engine: FakeEngine, deployment: Deployment, **facts: object) -> None:
    """Have something become of a deployment's container."""
    assert deployment.container_id is not None
    engine.runtime.change(deployment.container_id, **facts)


async def looked(serving: Serving, deployment: Deployment) -> Deployment:
    """Look once."""
    await serving.watching.look()
    return serving.now(deployment)


async def test_what_goes_well_is_not_written_again(serving: Serving) -> None:
    """Each write is a sync of the disk."""
    deployment = await serving.deploy("hello", "one")

    assert deployment == await looked(serving, deployment)


async def test_health_is_told_as_it_changes(serving: Serving, engine: FakeEngine) -> None:
    """A container that is unhealthy runs all the same."""
    deployment = await serving.deploy("hello", "one")
    become(engine, deployment, health="unhealthy")
    seen = await looked(serving, deployment)

    assert ("running", "unhealthy") == (seen.status, seen.health)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "exited", "exit_code": 143}, "the container was stopped, not by this receiver: it ended with exit"),
        ({"status": "paused", "exit_code": 0}, "the container does not run: it is paused"),
    ],
)
async def test_a_container_that_does_not_run_is_a_failure_until_it_does(
    serving: Serving, engine: FakeEngine, facts: dict[str, object], words: str
) -> None:
    """The deployment says why, once."""
    deployment = await serving.deploy("hello", "one")
    become(engine, deployment, **facts)
    failed = await looked(serving, deployment)
    assert failed == await looked(serving, deployment)
    assert ("failed", "BUILD_FAILED", facts["status"]) == (failed.status, failed.error_code, failed.container_status)
    assert words in str(failed.error_message)

    become(engine, deployment, status="running", exit_code=None)
    well = await serving.seen(deployment, "running")
    assert ("running", None, None) == (well.container_status, well.error_code, well.error_message)


async def test_a_container_that_is_gone_is_a_failure(serving: Serving, engine: FakeEngine) -> None:
    """Somebody has removed it by hand."""
    deployment = await serving.deploy("hello", "one")
    engine.runtime.containers.clear()
    failed = await looked(serving, deployment)

    assert ("failed", "removed") == (failed.status, failed.container_status)
    assert "somebody else has removed it" in str(failed.error_message)


async def test_a_container_that_crashes_again_and_again_stays_failed(tmp_path: Path, engine: FakeEngine) -> None:
    """Although it runs whenever it is looked at."""
    engine.runtime.log = "\nChown: Operation not permitted"
    async with serving_from(tmp_path, engine) as serving:
        deployment = await serving.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=True)
    async with serving_from(tmp_path, engine, start_watch_seconds=3600) as serving:
        for restarts in (1, 2, 2, 3):
            become(engine, deployment, restart_count=restarts)
            seen = await looked(serving, deployment)
            told = str(seen.error_message)
            assert ("failed", "running", restarts, 7, True) == (
                seen.status,
                seen.container_status,
                seen.restart_count,
                seen.exit_code,
                seen.oom_killed,
            )
            assert f"the engine had to start the container again, {restarts} time" in told
            assert "it ended with exit code 7, after a process of it was killed for memory" in told
            assert "a started container has no capabilities" in told


async def test_a_container_that_stays_up_after_a_crash_runs_again(serving: Serving, engine: FakeEngine) -> None:
    """Its restarts and its last exit code stay to be seen."""
    deployment = await serving.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=False)
    become(engine, deployment, restart_count=2)
    assert "failed" == (await looked(serving, deployment)).status
    well = await serving.seen(deployment, "running")

    assert (2, 7, None) == (well.restart_count, well.exit_code, well.error_message)


async def test_a_restart_of_the_engine_is_no_crash(serving: Serving, engine: FakeEngine) -> None:
    """It counts anew."""
    deployment = await serving.deploy("hello", "one")
    engine.runtime.ends["one"] = ContainerEnd(7, oom_killed=False)
    become(engine, deployment, restart_count=1)
    await serving.seen(deployment, "running")
    become(engine, deployment, restart_count=0)

    assert ("running", 0) == ((await looked(serving, deployment)).status, serving.now(deployment).restart_count)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "loading"},
        {"status": "failed", "error_code": "CHECKSUM_MISMATCH"},
        {"status": "loaded", "container_id": None},
    ],
)
async def test_a_deployment_with_which_something_else_is_done_is_left_alone(
    serving: Serving, engine: FakeEngine, changes: dict[str, object]
) -> None:
    """Its status is not the container's, then."""
    deployment = await serving.deploy("hello", "one")
    deployment = await serving.shared.deployments.change(deployment.deployment_id, **changes)
    engine.runtime.containers.clear()

    assert deployment == await looked(serving, deployment)


async def test_a_service_that_is_being_started_is_passed_over(serving: Serving, engine: FakeEngine) -> None:
    """Its starter sees for itself, and the others are looked at."""
    deployment, other = await serving.deploy("hello", "one"), await serving.deploy("other", "one")
    engine.runtime.containers.clear()
    async with serving.services.lock("hello"):
        await serving.watching.look()

    assert ("running", "failed") == (serving.now(deployment).status, serving.now(other).status)


async def test_without_services_the_engine_is_not_asked(serving: Serving) -> None:
    """It may not even be there."""

    async def absent() -> ContainerEngine:
        raise AssertionError("asked")

    await Watching(serving.shared, serving.services, absent).look()


async def test_it_looks_again_and_again(tmp_path: Path, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong meanwhile, which is logged once."""
    troubles = [
        DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "the engine is gone"),
        DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "the engine is gone"),
        RuntimeError("not thought of"),
    ]

    async def opened() -> ContainerEngine:
        if troubles:
            raise troubles.pop(0)
        return engine

    async with serving_from(tmp_path, engine, watch_interval_seconds=0.01) as serving:
        deployment = await serving.deploy("hello", "one")
        engine.runtime.containers.clear()
        watching = Watching(serving.shared, serving.services, opened)
        watching.start()
        await until(lambda: serving.now(deployment).status == "failed")
        await watching.close()
        await watching.close()

    assert 1 == caplog.text.count("the engine is gone")
    assert "not thought of" in caplog.text


async def test_one_service_that_cannot_be_put_in_order_keeps_no_other_from_being_seen(
    serving: Serving, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged when it is new."""
    await serving.deploy("hello", "one")
    other = await serving.deploy("other", "one")

    async def refuse(method: str) -> None:
        if method == "remove":
            raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "device or resource busy")

    before, engine.runtime.before = engine.runtime.before, refuse
    await serving.deploy("hello", "two")
    become(engine, other, status="exited", exit_code=1)
    caplog.clear()
    for _ in range(3):
        await serving.watching.look()
    engine.runtime.before = before

    assert "failed" == serving.now(other).status
    assert 1 == caplog.text.count("device or resource busy")


async def test_closing_one_that_was_never_started_is_fine(serving: Serving) -> None:
    """A receiver may fail before that."""
    await serving.watching.close()
