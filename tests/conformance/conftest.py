"""One engine at a time for the suites of the engine's ports: the one in memory, a Docker Engine, podman."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, ContainerSpec
from support.archives.archives import image_archive
from support.engine.engines import RealEngine
from support.engine.fake import FakeEngine
from support.engine.podman import Podman
from support.engine.under_test import LIMITS, EngineUnderTest


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """One service for all suites; its images go with it."""
    with Podman() as service:
        yield service


async def _runs_containers(engine: ContainerEngine, base_image: str) -> bool:
    """Whether a container can be started: podman lacks the rights for that on some machines."""
    image = await engine.inspect(base_image)
    assert image is not None
    container_id = None
    try:
        spec = ContainerSpec(image.image_id, f"probe-{uuid.uuid4().hex[:12]}", {}, LIMITS)
        container_id = await engine.runtime.create(spec)
        await engine.runtime.start(container_id)
    except OperationError:
        return False
    finally:
        if container_id is not None:
            await engine.runtime.remove(container_id, volumes=True)
    return True


@pytest.fixture(
    params=["fake", pytest.param("docker", marks=pytest.mark.engine), pytest.param("podman", marks=pytest.mark.engine)]
)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineUnderTest]:
    """Each engine in turn; what the test has left in it is removed."""
    context = tmp_path / "context"
    await asyncio.to_thread(context.mkdir)
    if request.param == "fake":
        fake = FakeEngine(strict=True)
        fake.images["base:1"] = image_archive("oci", "base:1")
        yield EngineUnderTest(fake, "base:1", context)
        return
    real: RealEngine = request.getfixturevalue("real_engine")
    docker_host, base_image = real.docker_host, real.base_image
    if request.param == "podman":
        docker_host = request.getfixturevalue("podman").docker_host
    engine = await open_engine(docker_host=docker_host)
    if request.param == "podman":
        await _copy(base_image, real.docker_host, engine)
    can_run = await _runs_containers(engine, base_image)
    under_test = EngineUnderTest(engine, base_image if can_run else None, context)
    yield under_test
    await engine.close()
    under_test.engine = await open_engine(docker_host=docker_host)  # the test may have closed its own
    await under_test.clean()
    await under_test.engine.close()


async def _copy(reference: str, docker_host: str | None, target: ContainerEngine) -> None:
    """Copy an image from the Docker Engine into another one, unless that has it."""
    if await target.inspect(reference) is None:
        source = await open_engine(docker_host=docker_host)
        chunks = await source.export(reference, list)
        await source.close()
        await target.load(iter(chunks))


@pytest.fixture
def service_subject(subject: EngineUnderTest) -> EngineUnderTest:
    """The same, where it can start containers."""
    if subject.base_image is None:
        pytest.skip("this engine cannot start containers on this machine")
    return subject
