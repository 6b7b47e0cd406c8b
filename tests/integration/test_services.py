"""Services of the receiver in a real engine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.cleanup import START_LABEL
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from support.engine.engines import RealEngine
from support.engine.machine import UP, Machine
from support.eventually import eventually
from support.receiver.services import ServiceHarness, open_harness


@pytest.fixture
def machine(real_engine: RealEngine) -> Iterator[Machine]:
    """Return the engine; volumes that the test leaves are removed after it."""
    with Machine(real_engine) as made:
        yield made


@pytest.fixture
async def docker_engine(real_engine: RealEngine) -> AsyncIterator[DockerEngine]:
    """Return our client of the engine."""
    engine = DockerEngine(docker_host=real_engine.docker_host)
    yield engine
    await engine.close()


@pytest.fixture
async def harness(tmp_path: Path, docker_engine: DockerEngine) -> AsyncIterator[ServiceHarness]:
    """Return services over an empty store."""
    async with open_harness(tmp_path / "store", docker_engine, start_watch_seconds=0.2) as made:
        yield made


def _container(deployment: Deployment) -> str:
    assert deployment.container_id is not None, deployment.error_message
    return deployment.container_id


async def test_a_container_is_started_with_limits(machine: Machine, harness: ServiceHarness) -> None:
    """By the image's id, without capabilities; the engine restarts it unless it is stopped."""
    image_id = await asyncio.to_thread(machine.image)
    deployment = await harness.deploy(machine.name, image_id)
    found = machine.api.inspect_container(_container(deployment))
    host = found["HostConfig"]

    assert (f"/{machine.name}", image_id, True) == (found["Name"], found["Config"]["Image"], found["State"]["Running"])
    assert (False, ["ALL"], ["no-new-privileges"]) == (host["Privileged"], host["CapDrop"], host["SecurityOpt"])
    assert (512_000_000, 512_000_000, 512) == (host["Memory"], host["MemorySwap"], host["PidsLimit"])
    assert {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10000000"}} == host["LogConfig"]
    assert "unless-stopped" == host["RestartPolicy"]["Name"]
    assert deployment.deployment_id == found["Config"]["Labels"]["omninode.deployment.id"]
    assert str(harness.state.settings.store_folder) in found["Config"]["Labels"]["omninode.deployment.receiver"]


async def test_the_limits_are_settings(machine: Machine, tmp_path: Path, docker_engine: DockerEngine) -> None:
    """Each in the unit of its name."""
    image_id = await asyncio.to_thread(machine.image)
    limits = {"container_memory_mb": 64, "container_cpus": 0.5, "container_pids": 50}
    limits |= {"container_log_max_mb": 1.5, "container_log_files": 2}
    async with open_harness(tmp_path / "store", docker_engine, **limits) as harness:
        deployment = await harness.deploy(machine.name, image_id)
    host = machine.api.inspect_container(_container(deployment))["HostConfig"]

    assert (64_000_000, 64_000_000, 500_000_000, 50) == (
        host["Memory"],
        host["MemorySwap"],
        host["NanoCpus"],
        host["PidsLimit"],
    )
    assert {"max-file": "2", "max-size": "1500000"} == host["LogConfig"]["Config"]


async def test_one_container_replaces_the_other(machine: Machine, harness: ServiceHarness) -> None:
    """The old one is removed when the new one has stayed up."""
    first = await harness.deploy(machine.name, await asyncio.to_thread(machine.image), "1.0")
    second = await harness.deploy(machine.name, await asyncio.to_thread(machine.image), "2.0")

    assert {machine.name: "running"} == machine.containers()
    assert _container(first) != _container(second)
    assert _container(second) == machine.api.inspect_container(machine.name)["Id"]
    assert () == second.warnings


async def test_a_bad_version_leaves_the_good_one_running(machine: Machine, harness: ServiceHarness) -> None:
    """Whether it crashes, ends with 0 or is unhealthy; the message says which."""
    good = await harness.deploy(machine.name, await asyncio.to_thread(machine.image), "1.0")
    unhealthy = "HEALTHCHECK --interval=100ms --retries=1 CMD echo no database; exit 1"
    kept = "the previous container keeps running"
    for image, message in (
        (("echo no config >&2; exit 4",), f"it ended with exit code 4; {kept}\nThe end of its log:\nno config"),
        (("echo done; exit 0",), "it ended with exit code 0; a container must keep running"),
        ((UP, unhealthy), f"unhealthy by its own health check; {kept}\nThe output of its health check:\nno database"),
    ):
        bad = await harness.deploy(machine.name, await asyncio.to_thread(machine.image, *image), "2.0")
        assert ("failed", "BUILD_FAILED") == (bad.status, bad.error_code)
        assert message in str(bad.error_message)
        assert {machine.name: "running"} == machine.containers()
        assert _container(good) == machine.api.inspect_container(machine.name)["Id"]


async def test_a_healthy_container_is_ready_at_once(
    machine: Machine, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """Its own health check counts, not the time for which it stays up."""
    image_id = await asyncio.to_thread(machine.image, UP, "HEALTHCHECK --interval=100ms CMD true")
    async with open_harness(tmp_path / "store", docker_engine, start_watch_seconds=3600) as harness:
        deployment = await harness.deploy(machine.name, image_id)

    assert ("running", "healthy") == (deployment.status, deployment.health)


async def test_data_in_a_volume_survives_its_container(machine: Machine, harness: ServiceHarness) -> None:
    """Each version gets the volumes of the previous one, and none is left over."""
    before = machine.all_volumes()
    containers = []
    for number in range(2):
        image_id = await asyncio.to_thread(machine.image, UP, "VOLUME /data")
        containers.append(_container(await harness.deploy(machine.name, image_id, str(number))))
        machine.run(containers[-1], f"echo version {number} >>/data/log")

    assert "version 0\nversion 1\n" == machine.run(containers[-1], "cat /data/log")
    assert 1 == len(machine.all_volumes() - before)


async def test_a_volume_that_is_no_longer_declared_is_kept(machine: Machine, harness: ServiceHarness) -> None:
    """A warning names it, and an image that declares it again uses it."""
    with_data = await asyncio.to_thread(machine.image, UP, "VOLUME /data")
    elsewhere = await asyncio.to_thread(machine.image, UP, "VOLUME /var/data")
    first = await harness.deploy(machine.name, with_data, "1.0")
    machine.run(_container(first), "echo precious >/data/file")
    volume = machine.volumes(_container(first))["/data"]
    second = await harness.deploy(machine.name, elsewhere, "2.0")
    third = await harness.deploy(machine.name, with_data, "1.0")

    (warning,) = second.warnings
    assert f"the new image declares no volume at /data (volume {volume})" in warning
    assert "the volume at /var/data is new and empty" in warning
    assert "precious\n" == machine.run(_container(third), "cat /data/file")


async def test_a_version_that_fails_keeps_no_volume(machine: Machine, harness: ServiceHarness) -> None:
    """The old container is stopped while the new one has its data, and started again."""
    good = await harness.deploy(machine.name, await asyncio.to_thread(machine.image, UP, "VOLUME /data"), "1.0")
    machine.run(_container(good), "echo precious >/data/file")
    before = machine.all_volumes()
    broken = await asyncio.to_thread(machine.image, "cat /data/file; exit 1", "VOLUME /data", "VOLUME /more")
    bad = await harness.deploy(machine.name, broken, "2.0")

    assert "the previous container keeps running\nThe end of its log:\nprecious" in str(bad.error_message)
    assert "precious\n" == machine.run(_container(good), "cat /data/file")
    assert before == machine.all_volumes()


async def test_labels_of_an_image_do_not_make_a_container_ours(machine: Machine, harness: ServiceHarness) -> None:
    """Any image may have them; a container that another program started is not touched."""
    labels = ["LABEL omninode.deployment.managed=true", f"LABEL {START_LABEL}=x", "LABEL omninode.deployment.id=x"]
    image_id = await asyncio.to_thread(machine.image, UP, *labels)
    foreign = machine.api.create_container(image_id, name=machine.name)["Id"]
    machine.api.start(foreign)
    failed = await harness.deploy(machine.name, image_id)

    assert f"this receiver did not start the container {machine.name}" in str(failed.error_message)
    assert foreign == machine.api.inspect_container(machine.name)["Id"]
    assert {machine.name: "running"} == machine.containers()


async def test_two_receivers_do_not_touch_each_others_containers(
    machine: Machine, harness: ServiceHarness, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """The deployment of the second one fails."""
    image_id = await asyncio.to_thread(machine.image)
    ours = await harness.deploy(machine.name, image_id)
    async with open_harness(tmp_path / "other", docker_engine) as other:
        theirs = await other.deploy(machine.name, image_id)
        await other.watcher.inspect_all()

    assert ("running", "failed") == (ours.status, theirs.status)
    assert _container(ours) == machine.api.inspect_container(machine.name)["Id"]


async def test_an_image_may_have_a_name_that_ends_in_next(machine: Machine, harness: ServiceHarness) -> None:
    """A new version of one image does not touch the container of the other."""
    image_id = await asyncio.to_thread(machine.image)
    names = {machine.name, f"{machine.name}.next"}
    for name in sorted(names):
        await harness.deploy(name, image_id, "1.0")
    before = {name: machine.api.inspect_container(name)["Id"] for name in names - {machine.name}}
    await harness.deploy(machine.name, await asyncio.to_thread(machine.image), "2.0")

    assert dict.fromkeys(names, "running") == machine.containers()
    assert before == {name: machine.api.inspect_container(name)["Id"] for name in before}


async def test_a_process_that_ignores_the_signal_to_stop_is_a_warning(
    machine: Machine, harness: ServiceHarness
) -> None:
    """The update waits for it; the warning names the setting."""
    deaf = await asyncio.to_thread(machine.image, "trap '' TERM; while :; do sleep 1; done")
    await harness.deploy(machine.name, deaf, "1.0")
    second = await harness.deploy(machine.name, await asyncio.to_thread(machine.image), "2.0")

    (warning,) = second.warnings
    assert "did not end within 1 s (container_stop_seconds, DEPLOYMENT_RECEIVER_CONTAINER_STOP_SECONDS)" in warning


async def test_a_missing_capability_is_explained(machine: Machine, harness: ServiceHarness) -> None:
    """The message adds to `chown: Operation not permitted` that capabilities are dropped."""
    image_id = await asyncio.to_thread(machine.image, "touch /tmp/x && chown 1:1 /tmp/x")
    failed = await harness.deploy(machine.name, image_id)

    assert "Operation not permitted" in str(failed.error_message)
    assert "Containers are started without capabilities" in str(failed.error_message)


async def test_a_container_that_is_killed_for_memory_is_a_failure(
    machine: Machine, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """The message names the limit and its setting."""
    image_id = await asyncio.to_thread(machine.image, "head -c 60000000 /dev/zero | tail -n 1 >/dev/null; exit 5")
    limits = {"container_memory_mb": 20, "start_watch_seconds": 20}
    async with open_harness(tmp_path / "store", docker_engine, **limits) as harness:
        failed = await harness.deploy(machine.name, image_id)

    # Which of its processes the kernel kills is the kernel's choice.
    assert (True, True) == (failed.exit_code in {5, 137}, failed.oom_killed)
    assert (
        f"it ended with exit code {failed.exit_code}, after one of its processes was killed for memory: its limit is"
        " 20 MB (container_memory_mb, DEPLOYMENT_RECEIVER_CONTAINER_MEMORY_MB)" in str(failed.error_message)
    )


async def test_a_container_that_is_killed_for_memory_later_is_a_failure(
    machine: Machine, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """With its exit code and its restarts, although it runs again; until it has stayed up."""
    crash = "until test -e /full; do sleep 0.05; done; echo oh; head -c 60000000 /dev/zero | tail -n 1 >/dev/null"
    image_id = await asyncio.to_thread(machine.image, f"test -e /full && exec sleep 3600; {crash}; exit 9")
    async with open_harness(tmp_path / "store", docker_engine, container_memory_mb=20) as harness:
        deployment = await harness.deploy(machine.name, image_id)
        machine.run(_container(deployment), "touch /full")
        crashed = await harness.wait_for(deployment, "failed", restart_count=1)
        well = await harness.wait_for(deployment, "running")

    assert (True, True) == (crashed.exit_code in {9, 137}, crashed.oom_killed)
    assert "the engine had to restart the container 1 time: it ended with exit" in str(crashed.error_message)
    assert "its limit is 20 MB (container_memory_mb" in str(crashed.error_message)
    assert "The end of its log:\noh" in str(crashed.error_message)
    assert ("running", crashed.exit_code, 1, None) == (
        well.container_status,
        well.exit_code,
        well.restart_count,
        well.error_message,
    )


async def test_a_container_that_an_operator_stops_or_removes_is_a_failure(
    machine: Machine, harness: ServiceHarness
) -> None:
    """Until the operator starts it again."""
    deployment = await harness.deploy(machine.name, await asyncio.to_thread(machine.image))
    machine.api.stop(_container(deployment))
    stopped = await harness.wait_for(deployment, "failed", container_status="exited")
    machine.api.start(_container(deployment))
    await harness.wait_for(deployment, "running", container_status="running")
    machine.api.remove_container(_container(deployment), force=True)
    removed = await harness.wait_for(deployment, "failed", container_status="removed")

    assert "the container was stopped, not by this receiver: it ended with exit code 0" in str(stopped.error_message)
    assert "it was not removed by this receiver" in str(removed.error_message)


async def test_a_running_container_is_not_started_twice(machine: Machine, harness: ServiceHarness) -> None:
    """A receiver that was killed just after the start continues the same deployment."""
    deployment = await harness.deploy(machine.name, await asyncio.to_thread(machine.image))

    assert _container(deployment) == (await harness.start(deployment)).container_id


async def test_a_start_that_is_cancelled_is_undone(
    machine: Machine, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """The new container is removed, the old one keeps running."""
    first, second = [await asyncio.to_thread(machine.image, UP, "VOLUME /data") for _ in range(2)]
    async with open_harness(tmp_path / "store", docker_engine) as harness:
        old = await harness.deploy(machine.name, first, "1.0")
    async with open_harness(tmp_path / "store", docker_engine, start_watch_seconds=60) as harness:
        task = asyncio.create_task(harness.deploy(machine.name, second, "2.0"))
        await eventually(lambda: machine.containers().get(f"{machine.name}.Next") == "running")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert {machine.name: "running"} == machine.containers()
    assert _container(old) == machine.api.inspect_container(machine.name)["Id"]


async def test_a_missing_command_is_an_error(machine: Machine, harness: ServiceHarness) -> None:
    """No container is left."""
    image_id = await asyncio.to_thread(machine.image, UP, 'ENTRYPOINT ["/not/there"]')
    failed = await harness.deploy(machine.name, image_id)

    assert "/not/there" in str(failed.error_message)
    assert {} == machine.containers()
