"""Dockerfiles on the real engine: built as they are written, or refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine, open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import BuildError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest
from support.engine.dockerfiles import ORDINARY
from support.engine.engines import RealEngine


@pytest.fixture
async def engine(real_engine: RealEngine) -> AsyncIterator[DockerEngine]:
    """Our client."""
    engine = await open_engine(docker_host=real_engine.docker_host)
    yield engine
    await engine.close()


async def _build(engine: DockerEngine, real_engine: RealEngine, folder: Path, text: str) -> list[str]:
    (folder / "hello").write_text("hello\n")
    (folder / "Dockerfile").write_text(text.replace("BASE", real_engine.base_image), newline="")
    lines: list[str] = []
    await engine.build(BuildRequest(folder, "Dockerfile", real_engine.new_image()), lines.append)
    return lines


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
async def test_ordinary_dockerfiles_are_built(
    engine: DockerEngine, real_engine: RealEngine, tmp_path: Path, text: str
) -> None:
    """None is mistaken for one that needs BuildKit."""
    lines = await _build(engine, real_engine, tmp_path, text)

    assert any(line.startswith("Successfully built ") for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM BASE\nRUN <<EOF\necho made > /made\nEOF\n", "line 2: RUN <<EOF"),
        ("FROM BASE\nRUN true\nCOPY --exclude=*.key . /\n", "line 3: COPY --exclude"),
    ],
)
async def test_features_that_the_engine_would_ignore_are_not_sent(
    engine: DockerEngine, real_engine: RealEngine, tmp_path: Path, text: str, said: str
) -> None:
    """No step is run."""
    with pytest.raises(OperationError) as caught:
        await _build(engine, real_engine, tmp_path, text)

    assert (BuildError, True, False) == (
        type(caught.value),
        said in caught.value.message,
        "Step 1" in caught.value.message,
    )
