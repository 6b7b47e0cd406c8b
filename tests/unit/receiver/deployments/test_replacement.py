"""A new container in the place of the old one; test_services.py has starts that fail or are interrupted."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerLimits
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.cleanup import START_LABEL
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.replacement import container_limits
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.engines import FakeEngine
from support.receiver.services import ServiceHarness


def test_limits_are_in_the_units_of_the_engine() -> None:
    """The settings count in MB of 1,000,000 bytes."""
    settings = ReceiverSettings(
        container_memory_mb=64.5, container_cpus=0.5, container_pids=50, container_log_max_mb=1.5, container_log_files=2
    )

    assert ContainerLimits(64_500_000, 0.5, 50, 1_500_000, 2) == container_limits(settings)


async def test_the_labels_of_a_container_name_its_deployment(harness: ServiceHarness, engine: FakeEngine) -> None:
    """And the receiver that started it, by its machine and store."""
    deployment = await harness.deploy("hello", "one")
    labels = engine.runtime.named("hello").facts.labels

    assert (deployment.deployment_id, deployment.identity.package_id, "hello:1.0") == (
        labels["omninode.deployment.id"],
        labels["omninode.deployment.package"],
        labels["omninode.deployment.image"],
    )
    assert labels["omninode.deployment.receiver"].endswith(f":{harness.state.settings.store_folder}")


async def test_each_start_has_a_token_of_its_own(harness: ServiceHarness, engine: FakeEngine) -> None:
    """It is on record, too."""
    await harness.deploy("hello", "one")
    first = engine.runtime.named("hello").facts.labels[START_LABEL]
    await harness.deploy("hello", "two")
    second = engine.runtime.named("hello").facts.labels[START_LABEL]
    record = await harness.services.records.get("hello")

    assert record.current is not None
    assert first != second == record.current.token


async def test_a_volume_that_is_no_longer_declared_is_a_warning(harness: ServiceHarness, engine: FakeEngine) -> None:
    """It is kept, and an image that declares it again gets it."""
    engine.runtime.declared_volumes = {"one": ("/data",), "two": ("/more",)}
    await harness.deploy("hello", "one")
    volume = engine.runtime.named("hello").facts.volumes["/data"]
    (warning,) = (await harness.deploy("hello", "two")).warnings
    await harness.deploy("hello", "one")

    assert (
        f"the new image declares no volume at /data (volume {volume}); the data is kept, and is used again by an image"
        " that declares that path; the volume at /more is new and empty"
    ) == warning
    assert volume == engine.runtime.named("hello").facts.volumes["/data"]


async def test_two_containers_never_write_to_one_volume_at_once(harness: ServiceHarness, engine: FakeEngine) -> None:
    """Where the new container uses a volume of the old one, the old one is stopped first."""
    engine.runtime.declared_volumes = {"one": ("/data",), "two": ("/data", "/new")}
    await harness.deploy("hello", "one")
    volume = engine.runtime.named("hello").facts.volumes["/data"]
    engine.runtime.diary.clear()
    await harness.deploy("hello", "two")

    assert ["create hello.Next", "stop hello", "start hello.Next"] == engine.runtime.diary[:3]
    assert volume == engine.runtime.named("hello").facts.volumes["/data"]
    assert 2 == len(engine.runtime.volumes)


async def test_a_volume_is_used_again_after_its_container_was_removed_by_hand(
    harness: ServiceHarness, engine: FakeEngine
) -> None:
    """The record has its name; a volume that no longer exists is created again."""
    engine.runtime.declared_volumes = {"one": ("/data",)}
    first = await harness.deploy("hello", "one")
    volume = engine.runtime.named("hello").facts.volumes["/data"]
    assert first.container_id is not None
    await engine.runtime.remove(first.container_id, volumes=False)
    second = await harness.deploy("hello", "one")
    assert volume == engine.runtime.named("hello").facts.volumes["/data"]

    assert second.container_id is not None
    await engine.runtime.remove(second.container_id, volumes=False)
    engine.runtime.volumes.clear()
    await harness.deploy("hello", "one")
    assert volume != engine.runtime.named("hello").facts.volumes["/data"]


@pytest.mark.parametrize("name", ["hello", "hello.Next"])
async def test_a_container_of_others_is_not_touched(harness: ServiceHarness, engine: FakeEngine, name: str) -> None:
    """Whatever its labels say; the message says what to do."""
    if name != "hello":
        await harness.deploy("hello", "one")
    labels = {START_LABEL: "x", "omninode.deployment.id": "y"}
    foreign = engine.runtime.add_foreign(name, labels)
    failed = await harness.deploy("hello", "two")

    assert f"this receiver did not start the container {name} that exists already" in str(failed.error_message)
    assert f"docker rm -f {name}" in str(failed.error_message)
    assert "running" == engine.runtime.containers[foreign].facts.status


async def test_a_copied_label_does_not_make_a_container_ours(harness: ServiceHarness, engine: FakeEngine) -> None:
    """`docker commit` puts a container's labels into an image."""
    deployment = await harness.deploy("hello", "one")
    assert deployment.container_id is not None
    labels = engine.runtime.containers[deployment.container_id].facts.labels
    await engine.runtime.remove(deployment.container_id, volumes=False)
    foreign = engine.runtime.add_foreign("hello", labels)
    failed = await harness.deploy("hello", "two")

    assert "this receiver did not start" in str(failed.error_message)
    assert foreign in engine.runtime.containers
