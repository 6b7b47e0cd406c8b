"""One container for each image name, in an engine that only pretends; tests/integration has a real one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerSpec
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.settling import TOKEN_LABEL
from support.engine.engines import FakeEngine
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


async def test_a_first_container_has_its_name_at_once(serving: Serving, engine: FakeEngine) -> None:
    """By the image's id; it is kept up once it has stayed up."""
    deployment = await serving.deploy("hello", "one")

    assert ["create hello", "start hello", "keep_up hello"] == engine.runtime.diary
    assert ("running", "running", 0, ()) == (
        deployment.status,
        deployment.container_status,
        deployment.restart_count,
        deployment.warnings,
    )


async def test_the_old_one_goes_when_the_new_one_is_proved(serving: Serving, engine: FakeEngine) -> None:
    """In good order, and not before."""
    await serving.deploy("hello", "one")
    engine.runtime.diary.clear()
    await serving.deploy("hello", "two")

    assert [
        "create hello.Next",
        "start hello.Next",
        "keep_up hello.Next",
        "stop hello",
        "remove hello",
        "rename hello.Next",
    ] == engine.runtime.diary
    assert {"hello": "running"} == engine.runtime.names()


async def test_two_never_write_to_one_volume_at_once(serving: Serving, engine: FakeEngine) -> None:
    """The old one is stopped before the new one is started, where its data is carried over."""
    engine.runtime.declared_volumes = {"one": ("/data",), "two": ("/data", "/new")}
    await serving.deploy("hello", "one")
    volume = engine.runtime.named("hello").facts.volumes["/data"]
    engine.runtime.diary.clear()
    await serving.deploy("hello", "two")

    assert ["create hello.Next", "stop hello", "start hello.Next"] == engine.runtime.diary[:3]
    assert volume == engine.runtime.named("hello").facts.volumes["/data"]
    assert 2 == len(engine.runtime.volumes)


async def test_data_comes_back_to_a_container_whose_predecessor_was_removed_by_hand(
    serving: Serving, engine: FakeEngine
) -> None:
    """The record knows its volumes; one that is gone, too, is made anew."""
    engine.runtime.declared_volumes = {"one": ("/data",)}
    first = await serving.deploy("hello", "one")
    volume = engine.runtime.named("hello").facts.volumes["/data"]
    assert first.container_id is not None
    await engine.runtime.remove(first.container_id, volumes=False)
    second = await serving.deploy("hello", "one")
    assert volume == engine.runtime.named("hello").facts.volumes["/data"]

    assert second.container_id is not None
    await engine.runtime.remove(second.container_id, volumes=False)
    engine.runtime.volumes.clear()
    await serving.deploy("hello", "one")
    assert volume != engine.runtime.named("hello").facts.volumes["/data"]


@pytest.mark.parametrize("path", ["/data", "/other"])
async def test_a_failure_puts_back_what_was(serving: Serving, engine: FakeEngine, path: str) -> None:
    """Whether the old container had to be stopped or not; the new one's own volumes go."""
    engine.runtime.declared_volumes = {"one": ("/data",), "bad": (path,)}
    engine.runtime.ends["bad"] = ContainerEnd(4, oom_killed=False)
    engine.runtime.log = "\nno config"
    good = await serving.deploy("hello", "one")
    volumes = set(engine.runtime.volumes)
    bad = await serving.deploy("hello", "bad")

    assert (
        "The container hello could not be started: it ended with exit code 4; the container before it goes on"
        "\nThe end of its log:\nno config"
    ) == bad.error_message
    assert (4, False) == (bad.exit_code, bad.oom_killed)
    assert ({"hello": "running"}, volumes) == (engine.runtime.names(), engine.runtime.volumes)
    assert engine.runtime.named("hello").facts.container_id == good.container_id


async def test_a_container_that_was_stopped_by_hand_stays_stopped_after_a_failure(
    serving: Serving, engine: FakeEngine
) -> None:
    """It is put back as it was, and not better."""
    engine.runtime.ends["bad"] = ContainerEnd(4, oom_killed=False)
    good = await serving.deploy("hello", "one")
    assert good.container_id is not None
    engine.runtime.change(good.container_id, status="exited", exit_code=0)
    bad = await serving.deploy("hello", "bad")

    assert {"hello": "exited"} == engine.runtime.names()
    assert "goes on" not in str(bad.error_message)


@pytest.mark.parametrize("name", ["hello", "hello.Next"])
async def test_a_container_of_somebody_else_is_left_alone(serving: Serving, engine: FakeEngine, name: str) -> None:
    """Whatever its labels say; the message tells what to do."""
    if name != "hello":
        await serving.deploy("hello", "one")
    labels = {TOKEN_LABEL: "x", "omninode.deployment.id": "y"}
    foreign = engine.runtime.add_foreign(name, labels)
    failed = await serving.deploy("hello", "two")

    assert f"there is a container {name} that this receiver has not started" in str(failed.error_message)
    assert f"docker rm -f {name}" in str(failed.error_message)
    assert "running" == engine.runtime.containers[foreign].facts.status


async def test_a_label_that_was_copied_makes_nobody_elses_container_ours(serving: Serving, engine: FakeEngine) -> None:
    """`docker commit` puts a container's labels into an image."""
    deployment = await serving.deploy("hello", "one")
    assert deployment.container_id is not None
    labels = engine.runtime.containers[deployment.container_id].facts.labels
    await engine.runtime.remove(deployment.container_id, volumes=False)
    foreign = engine.runtime.add_foreign("hello", labels)
    failed = await serving.deploy("hello", "two")

    assert "has not started" in str(failed.error_message)
    assert foreign in engine.runtime.containers


async def test_what_runs_for_a_deployment_stays_as_it_is(serving: Serving, engine: FakeEngine) -> None:
    """But not what was started again, or with other limits."""
    deployment = await serving.deploy("hello", "one")
    again = await serving.start(deployment)
    assert deployment.container_id is not None
    engine.runtime.change(deployment.container_id, restart_count=1)
    anew = await serving.start(deployment)

    assert deployment.container_id == again.container_id != anew.container_id


async def test_whether_a_container_runs_is_what_the_engine_says(serving: Serving, engine: FakeEngine) -> None:
    """None where there is none."""
    deployment = await serving.deploy("hello", "one")
    assert deployment.container_id is not None
    runs = [await serving.services.runs(engine, deployment)]
    engine.runtime.change(deployment.container_id, status="restarting")
    runs.append(await serving.services.runs(engine, deployment))
    engine.runtime.containers.clear()
    runs.append(await serving.services.runs(engine, deployment))

    assert [True, False, None] == runs
    assert await serving.services.runs(engine, await serving.loaded("other", "one")) is None


async def test_other_limits_make_another_container(tmp_path: Path, engine: FakeEngine) -> None:
    """Whoever raises one and sends the package again gets it."""
    async with serving_from(tmp_path, engine) as serving:
        deployment = await serving.deploy("hello", "one")
    async with serving_from(tmp_path, engine, container_memory_mb=1024) as serving:
        await serving.start(deployment)
    spec = engine.runtime.named("hello").spec

    assert spec is not None
    assert 1_024_000_000 == spec.limits.memory_bytes


async def test_starts_of_one_name_come_one_after_the_other(serving: Serving, engine: FakeEngine) -> None:
    """In order of arrival; the last one runs."""
    deployments = [await serving.loaded("hello", f"image {number}", str(number)) for number in range(3)]
    await asyncio.gather(*(serving.start(deployment) for deployment in deployments))

    assert {"hello": "running"} == engine.runtime.names()
    spec = engine.runtime.named("hello").spec
    assert spec is not None
    assert "image 2" == spec.image_id


async def test_an_old_container_that_cannot_be_removed_yet_is_no_failure(serving: Serving, engine: FakeEngine) -> None:
    """The new one serves; it is said, and done later."""
    await serving.deploy("hello", "one")

    async def refuse(method: str) -> None:
        if method == "remove":
            raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "device or resource busy")

    before, engine.runtime.before = engine.runtime.before, refuse
    deployment = await serving.deploy("hello", "two")
    engine.runtime.before = before
    assert ("running", ("the old container is not yet removed: device or resource busy",)) == (
        deployment.status,
        deployment.warnings,
    )
    await serving.watching.look()

    assert {"hello": "running"} == engine.runtime.names()


async def test_an_engine_that_goes_away_meanwhile_is_told_as_that(serving: Serving, engine: FakeEngine) -> None:
    """Whoever waits for it tries again; what could not be put back is, then."""
    await serving.deploy("hello", "one")

    async def gone(method: str) -> None:
        if method in {"keep_up", "remove"}:
            raise DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "gone")

    before, engine.runtime.before = engine.runtime.before, gone
    failed = await serving.deploy("hello", "two")
    engine.runtime.before = before
    assert ("DOCKER_UNAVAILABLE", "gone; the container before it is not yet put back") == (
        failed.error_code,
        failed.error_message,
    )
    await serving.start(failed)

    assert {"hello": "running"} == engine.runtime.names()


class KilledError(BaseException):
    """The receiver is no more."""


def kill_at(engine: FakeEngine, number: int) -> None:
    """Have the receiver die at the so manieth moment: before or after something is done to a container."""
    moments = 0

    async def moment(_: str) -> None:
        nonlocal moments
        moments += 1
        if moments == number:
            raise KilledError

    engine.runtime.before = engine.runtime.after = moment


async def nothing(_: str) -> None:
    """Happens at no moment."""


# Of a start that carries a volume over: create, stop, start, keep_up; stop, remove and rename after it.
_MOMENTS = range(1, 2 * 6 + 1)


@pytest.mark.parametrize("moment", _MOMENTS)
async def test_a_receiver_that_is_killed_during_a_start_puts_everything_in_order(
    tmp_path: Path, engine: FakeEngine, moment: int
) -> None:
    """At every moment: one container of the name runs after the next look, with its data, and nothing is left."""
    runtime = engine.runtime
    runtime.declared_volumes = {"one": ("/data",), "two": ("/data",)}
    foreign = runtime.add_foreign("hello.next")
    async with serving_from(tmp_path, engine) as serving:
        await serving.deploy("hello", "one")
        deployment = await serving.loaded("hello", "two")
        volumes = set(runtime.volumes)
        kill_at(engine, moment)
        with pytest.raises(KilledError):
            await serving.start(deployment)
    runtime.before = runtime.after = nothing
    async with serving_from(tmp_path, engine) as serving:
        await serving.watching.look()
        assert {"hello": "running", "hello.next": "running"} == runtime.names()
        assert volumes == runtime.volumes == set(runtime.named("hello").facts.volumes.values())
        deployment = await serving.start(deployment)

    assert runtime.named("hello").facts.container_id == deployment.container_id
    assert {"hello": "running", "hello.next": "running"} == runtime.names()
    assert volumes == runtime.volumes
    assert foreign in runtime.containers


@pytest.mark.parametrize("moment", range(1, 2 * 3 + 1))
async def test_a_receiver_that_is_killed_during_a_first_start_leaves_nothing_in_its_own_way(
    tmp_path: Path, engine: FakeEngine, moment: int
) -> None:
    """The container that it has made is known to be its own."""
    async with serving_from(tmp_path, engine) as serving:
        deployment = await serving.loaded("hello", "one")
        kill_at(engine, moment)
        with pytest.raises(KilledError):
            await serving.start(deployment)
    engine.runtime.before = engine.runtime.after = nothing
    async with serving_from(tmp_path, engine) as serving:
        assert "running" == (await serving.start(deployment)).status

    assert {"hello": "running"} == engine.runtime.names()


async def test_a_container_that_the_engine_makes_too_late_is_known_to_be_ours(
    serving: Serving, engine: FakeEngine
) -> None:
    """The engine may go on with what it was asked for after the connection was cut."""
    asked: list[ContainerSpec] = []
    create = engine.runtime.create

    async def cut(method: str) -> None:
        if method == "create" and not asked:
            asked.append(ContainerSpec("one", "hello", {TOKEN_LABEL: await _token(serving)}, serving.services.limits))
            raise DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "cut")

    engine.runtime.before = cut
    failed = await serving.deploy("hello", "one")
    await create(asked[0])
    again = await serving.start(failed)

    assert ("failed", "running") == (failed.status, again.status)
    assert {"hello": "running"} == engine.runtime.names()


async def _token(serving: Serving) -> str:
    record = await serving.services.records.get("hello")
    assert record.next is not None
    return record.next.token
