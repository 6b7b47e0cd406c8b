"""One container for each image name, in an engine in memory; tests/integration has a real one."""

import asyncio
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError, EngineUnavailableError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerSpec
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.cleanup import START_LABEL
from support.engine.engines import FakeEngine
from support.receiver.services import ServiceHarness, open_harness


async def test_a_first_container_has_its_name_at_once(harness: ServiceHarness, engine: FakeEngine) -> None:
    """It is started by the image's id; the engine restarts it from the time when it is ready."""
    deployment = await harness.deploy("hello", "one")

    assert ["create hello", "start hello", "keep_up hello"] == engine.runtime.diary
    assert ("running", "running", 0, ()) == (
        deployment.status,
        deployment.container_status,
        deployment.restart_count,
        deployment.warnings,
    )


async def test_a_ready_container_replaces_the_old_one(harness: ServiceHarness, engine: FakeEngine) -> None:
    """It is stopped, removed, and its name is given to the new one."""
    await harness.deploy("hello", "one")
    engine.runtime.diary.clear()
    await harness.deploy("hello", "two")

    assert [
        "create hello.Next",
        "start hello.Next",
        "keep_up hello.Next",
        "stop hello",
        "remove hello",
        "rename hello.Next",
    ] == engine.runtime.diary
    assert {"hello": "running"} == engine.runtime.names()


@pytest.mark.parametrize("path", ["/data", "/other"])
async def test_a_start_that_fails_is_undone(harness: ServiceHarness, engine: FakeEngine, path: str) -> None:
    """Whether the old container had to be stopped or not; volumes that only the new one has are removed."""
    engine.runtime.declared_volumes = {"one": ("/data",), "bad": (path,)}
    engine.runtime.ends["bad"] = ContainerEnd(4, oom_killed=False)
    engine.runtime.log = "\nno config"
    good = await harness.deploy("hello", "one")
    volumes = set(engine.runtime.volumes)
    bad = await harness.deploy("hello", "bad")

    assert (
        "The container hello could not be started: it ended with exit code 4; the previous container keeps running"
        "\nThe end of its log:\nno config"
    ) == bad.error_message
    assert (4, False) == (bad.exit_code, bad.oom_killed)
    assert ({"hello": "running"}, volumes) == (engine.runtime.names(), engine.runtime.volumes)
    assert engine.runtime.named("hello").facts.container_id == good.container_id


async def test_a_container_that_was_stopped_by_hand_stays_stopped_after_a_failure(
    harness: ServiceHarness, engine: FakeEngine
) -> None:
    """It is not started by a start that fails."""
    engine.runtime.ends["bad"] = ContainerEnd(4, oom_killed=False)
    good = await harness.deploy("hello", "one")
    assert good.container_id is not None
    engine.runtime.change(good.container_id, status="exited", exit_code=0)
    bad = await harness.deploy("hello", "bad")

    assert {"hello": "exited"} == engine.runtime.names()
    assert "keeps running" not in str(bad.error_message)


async def test_a_container_of_the_same_deployment_is_not_replaced(harness: ServiceHarness, engine: FakeEngine) -> None:
    """Unless its engine had to restart it."""
    deployment = await harness.deploy("hello", "one")
    again = await harness.start(deployment)
    assert deployment.container_id is not None
    engine.runtime.change(deployment.container_id, restart_count=1)
    anew = await harness.start(deployment)

    assert deployment.container_id == again.container_id != anew.container_id


async def test_the_engine_says_whether_a_container_runs(harness: ServiceHarness, engine: FakeEngine) -> None:
    """Where there is no container the result is None."""
    deployment = await harness.deploy("hello", "one")
    assert deployment.container_id is not None
    runs = [await harness.services.is_running(engine, deployment)]
    engine.runtime.change(deployment.container_id, status="restarting")
    runs.append(await harness.services.is_running(engine, deployment))
    engine.runtime.containers.clear()
    runs.append(await harness.services.is_running(engine, deployment))

    assert [True, False, None] == runs
    assert await harness.services.is_running(engine, await harness.keep_loaded("other", "one")) is None


async def test_a_container_with_other_limits_is_replaced(tmp_path: Path, engine: FakeEngine) -> None:
    """An operator who changes a limit and sends the package again gets a container with that limit."""
    async with open_harness(tmp_path, engine) as harness:
        deployment = await harness.deploy("hello", "one")
    async with open_harness(tmp_path, engine, container_memory_mb=1024) as harness:
        await harness.start(deployment)
    spec = engine.runtime.named("hello").spec

    assert spec is not None
    assert 1_024_000_000 == spec.limits.memory_bytes


async def test_starts_of_one_name_happen_one_after_the_other(harness: ServiceHarness, engine: FakeEngine) -> None:
    """In the order of arrival; the last container runs."""
    deployments = [await harness.keep_loaded("hello", f"image {number}", str(number)) for number in range(3)]
    await asyncio.gather(*(harness.start(deployment) for deployment in deployments))

    assert {"hello": "running"} == engine.runtime.names()
    spec = engine.runtime.named("hello").spec
    assert spec is not None
    assert "image 2" == spec.image_id


async def test_an_old_container_that_cannot_be_removed_is_a_warning(
    harness: ServiceHarness, engine: FakeEngine
) -> None:
    """The new one runs; the old one is removed later."""
    await harness.deploy("hello", "one")

    async def refuse(method: str) -> None:
        if method == "remove":
            raise EngineRefusedError("device or resource busy")

    before, engine.runtime.before = engine.runtime.before, refuse
    deployment = await harness.deploy("hello", "two")
    engine.runtime.before = before
    assert ("running", ("the old container is not yet removed: device or resource busy",)) == (
        deployment.status,
        deployment.warnings,
    )
    await harness.watcher.inspect_all()

    assert {"hello": "running"} == engine.runtime.names()


async def test_a_start_whose_engine_goes_away_can_be_repeated(harness: ServiceHarness, engine: FakeEngine) -> None:
    """The start is repeated once the engine responds, and undoes the first attempt."""
    await harness.deploy("hello", "one")

    async def gone(method: str) -> None:
        if method in {"keep_up", "remove"}:
            raise EngineUnavailableError("gone")

    before, engine.runtime.before = engine.runtime.before, gone
    failed = await harness.deploy("hello", "two")
    engine.runtime.before = before
    assert ("DOCKER_UNAVAILABLE", "gone; the previous container is not yet restored") == (
        failed.error_code,
        failed.error_message,
    )
    await harness.start(failed)

    assert {"hello": "running"} == engine.runtime.names()


class KilledError(BaseException):
    """The receiver was killed."""


def kill_at(engine: FakeEngine, number: int) -> None:
    """Kill the receiver at a moment, counted from 1: before or after each change of a container."""
    moments = 0

    async def moment(_: str) -> None:
        nonlocal moments
        moments += 1
        if moments == number:
            raise KilledError

    engine.runtime.before = engine.runtime.after = moment


async def nothing(_: str) -> None:
    """Do nothing at any moment."""


# Of a start with a volume of the old container: create, stop, start, keep_up, then remove and rename.
_MOMENTS = range(1, 2 * 6 + 1)


@pytest.mark.parametrize("moment", _MOMENTS)
async def test_a_start_that_was_killed_is_completed_or_undone(tmp_path: Path, engine: FakeEngine, moment: int) -> None:
    """At every moment: after the next inspection one container runs, with its data, and no other is left."""
    runtime = engine.runtime
    runtime.declared_volumes = {"one": ("/data",), "two": ("/data",)}
    foreign = runtime.add_foreign("hello.next")
    async with open_harness(tmp_path, engine) as harness:
        await harness.deploy("hello", "one")
        deployment = await harness.keep_loaded("hello", "two")
        volumes = set(runtime.volumes)
        kill_at(engine, moment)
        with pytest.raises(KilledError):
            await harness.start(deployment)
    runtime.before = runtime.after = nothing
    async with open_harness(tmp_path, engine) as harness:
        await harness.watcher.inspect_all()
        assert {"hello": "running", "hello.next": "running"} == runtime.names()
        assert volumes == runtime.volumes == set(runtime.named("hello").facts.volumes.values())
        deployment = await harness.start(deployment)

    assert runtime.named("hello").facts.container_id == deployment.container_id
    assert {"hello": "running", "hello.next": "running"} == runtime.names()
    assert volumes == runtime.volumes
    assert foreign in runtime.containers


@pytest.mark.parametrize("moment", range(1, 2 * 3 + 1))
async def test_a_first_start_that_was_killed_can_be_repeated(tmp_path: Path, engine: FakeEngine, moment: int) -> None:
    """The container that it created is known to be this receiver's."""
    async with open_harness(tmp_path, engine) as harness:
        deployment = await harness.keep_loaded("hello", "one")
        kill_at(engine, moment)
        with pytest.raises(KilledError):
            await harness.start(deployment)
    engine.runtime.before = engine.runtime.after = nothing
    async with open_harness(tmp_path, engine) as harness:
        assert "running" == (await harness.start(deployment)).status

    assert {"hello": "running"} == engine.runtime.names()


async def test_a_container_that_the_engine_creates_late_is_known_to_be_ours(
    harness: ServiceHarness, engine: FakeEngine
) -> None:
    """An engine may complete a request after the connection was cut."""
    asked: list[ContainerSpec] = []
    create = engine.runtime.create

    async def cut(method: str) -> None:
        if method == "create" and not asked:
            asked.append(ContainerSpec("one", "hello", {START_LABEL: await _token(harness)}, harness.services.limits))
            raise EngineUnavailableError("cut")

    engine.runtime.before = cut
    failed = await harness.deploy("hello", "one")
    await create(asked[0])
    again = await harness.start(failed)

    assert ("failed", "running") == (failed.status, again.status)
    assert {"hello": "running"} == engine.runtime.names()


async def _token(harness: ServiceHarness) -> str:
    record = await harness.services.records.get("hello")
    assert record.next is not None
    return record.next.token
