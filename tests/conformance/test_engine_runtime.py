"""`ContainerRuntime`: what every engine that runs containers does."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd
from support.engine.under_test import EngineUnderTest

MISSING = "f" * 64


async def test_a_container_is_created_and_not_started(service_subject: EngineUnderTest) -> None:
    """It is found by its id and its name, with its labels."""
    runtime = service_subject.engine.runtime
    spec = service_subject.spec(await service_subject.service())
    container_id = await runtime.create(spec)
    facts = await runtime.inspect(container_id)
    assert facts is not None
    named = await runtime.inspect(spec.name)
    await runtime.remove(container_id, volumes=True)

    assert (container_id, spec.name, facts) == (facts.container_id, facts.name, named)
    assert ("created", False, "conformance") == (facts.status, facts.active, facts.labels["owner"])


async def test_a_container_runs_until_it_is_stopped(service_subject: EngineUnderTest) -> None:
    """It can be started twice and stopped twice; how it ended is known."""
    runtime = service_subject.engine.runtime
    container_id = await service_subject.created(await service_subject.service())
    await runtime.start(container_id)
    await runtime.start(container_id)
    facts = await runtime.inspect(container_id)
    assert facts is not None
    assert (True, None) == (facts.running, facts.exit_code)
    await runtime.stop(container_id, 1)
    await runtime.stop(container_id, 1)
    facts = await runtime.inspect(container_id)
    assert facts is not None

    assert ("exited", True) == (facts.status, facts.finished_at is not None)
    assert ContainerEnd(facts.exit_code, oom_killed=False) == await runtime.last_end(facts)


async def test_a_running_container_can_be_removed(service_subject: EngineUnderTest) -> None:
    """It is gone then."""
    runtime = service_subject.engine.runtime
    container_id = await service_subject.created(await service_subject.service())
    await runtime.start(container_id)
    await runtime.keep_up(container_id)
    await runtime.remove(container_id, volumes=True)

    assert await runtime.inspect(container_id) is None


async def test_a_name_is_given_once(service_subject: EngineUnderTest) -> None:
    """Neither a new container nor a renamed one may have another's name."""
    runtime, image_id = service_subject.engine.runtime, await service_subject.service()
    first, second = await service_subject.created(image_id), await service_subject.created(image_id)
    facts = await runtime.inspect(first)
    assert facts is not None
    with pytest.raises(EngineRefusedError):
        await runtime.create(service_subject.spec(image_id, facts.name))
    with pytest.raises(EngineRefusedError):
        await runtime.rename(second, facts.name)
    free = service_subject.new_name()
    await runtime.rename(second, free)
    renamed = await runtime.inspect(free)

    assert renamed is not None
    assert second == renamed.container_id


async def test_a_container_needs_an_image(service_subject: EngineUnderTest) -> None:
    """There is no container after that."""
    runtime = service_subject.engine.runtime
    spec = service_subject.spec(f"sha256:{'1' * 64}")
    with pytest.raises(EngineRefusedError):
        await runtime.create(spec)

    assert await runtime.inspect(spec.name) is None


@pytest.mark.parametrize("method", ["start", "keep_up", "rename"])
async def test_a_missing_container_is_refused(service_subject: EngineUnderTest, method: str) -> None:
    """Where the caller needs one."""
    runtime = service_subject.engine.runtime
    calls = {
        "start": lambda: runtime.start(MISSING),
        "keep_up": lambda: runtime.keep_up(MISSING),
        "rename": lambda: runtime.rename(MISSING, service_subject.new_name()),
    }
    with pytest.raises(EngineRefusedError):
        await calls[method]()


async def test_a_missing_container_can_be_stopped_and_removed(service_subject: EngineUnderTest) -> None:
    """Nothing happens; it is not found, and has no log."""
    runtime = service_subject.engine.runtime
    await runtime.stop(MISSING, 1)
    await runtime.remove(MISSING, volumes=True)

    assert (None, "") == (await runtime.inspect(MISSING), await runtime.log_tail(MISSING))


async def test_a_part_of_an_id_is_no_key(service_subject: EngineUnderTest) -> None:
    """Engines find a container by it; the port does not."""
    container_id = await service_subject.created(await service_subject.service())

    assert await service_subject.engine.runtime.inspect(container_id[:20]) is None


@pytest.mark.parametrize("with_volumes", [True, False])
async def test_the_volumes_of_an_image_go_with_the_container_on_request(
    service_subject: EngineUnderTest, *, with_volumes: bool
) -> None:
    """They are made for the container, at the paths that the image declares."""
    runtime, image_id = service_subject.engine.runtime, await service_subject.service(volume="/data")
    container_id = await service_subject.created(image_id)
    facts = await runtime.inspect(container_id)
    assert facts is not None
    assert (("/data",), ["/data"]) == (await runtime.volume_paths(image_id), list(facts.volumes))
    (volume,) = facts.volumes.values()
    assert await runtime.has_volume(volume)
    await runtime.remove(container_id, volumes=with_volumes)

    assert with_volumes is not await runtime.has_volume(volume)


async def test_what_is_missing_has_no_volumes(service_subject: EngineUnderTest) -> None:
    """An image that is not there is refused; a volume that is not there is reported as such."""
    runtime = service_subject.engine.runtime
    assert not await runtime.has_volume(service_subject.new_name())
    with pytest.raises(EngineRefusedError):
        await runtime.volume_paths(f"sha256:{'1' * 64}")
