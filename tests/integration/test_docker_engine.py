"""The engine's client against the real engine."""

import asyncio
import json
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine, open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import BuildError, EngineRefusedError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest, ImageFacts
from support.engine.engines import RealEngine
from support.eventually import eventually_in_thread
from support.process.processes import children

SECRET = 'pa$$ "wörd"'


@pytest.fixture
async def engine(real_engine: RealEngine) -> AsyncIterator[DockerEngine]:
    """Our client."""
    engine = await open_engine(docker_host=real_engine.docker_host)
    yield engine
    await engine.close()


class Context:
    """A build context that builds on the base image."""

    def __init__(self, folder: Path, base_image: str) -> None:
        self.folder = folder
        self._base_image = base_image

    def dockerfile(self, text: str) -> None:
        """Write the Dockerfile; BASE stands for the base image."""
        (self.folder / "Dockerfile").write_text(text.replace("BASE", self._base_image))


@pytest.fixture
def context(tmp_path: Path, real_engine: RealEngine) -> Context:
    """An empty one."""
    folder = tmp_path / "context"
    folder.mkdir()
    return Context(folder, real_engine.base_image)


async def _build(
    engine: DockerEngine,
    context: Context,
    reference: str,
    on_line: Callable[[str], None] = lambda _: None,
    **fields: Any,
) -> str:
    return await engine.build(BuildRequest(context.folder, "Dockerfile", reference, **fields), on_line)


async def _failed(engine: DockerEngine, context: Context, reference: str, **fields: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await _build(engine, context, reference, **fields)
    assert isinstance(caught.value, BuildError), caught.value
    return caught.value


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _found(real_engine: RealEngine, **filters: str) -> list[dict[str, Any]]:
    return list(real_engine.api.containers(all=True, filters=filters))


def _inspected(real_engine: RealEngine, reference: str) -> dict[str, Any]:
    return dict(real_engine.api.inspect_image(reference))  # type: ignore[no-untyped-call]


async def test_info_returns_what_docker_info_shows(engine: DockerEngine, real_engine: RealEngine) -> None:
    """Version, image store, data folder."""
    shown = real_engine.api.info()
    info = await engine.info()

    assert (shown["ServerVersion"], shown["Driver"], shown["DockerRootDir"]) == (
        info.version,
        info.storage_driver,
        info.data_folder,
    )


async def test_a_build_applies_every_option(engine: DockerEngine, real_engine: RealEngine, context: Context) -> None:
    """Arguments, target, labels, .dockerignore; the id is the engine's."""
    context.dockerfile(
        "FROM BASE AS first\nARG WHAT\nLABEL from=file\nCOPY . /context\n"
        'RUN test "$WHAT" = "that one" && test ! -e /context/secret && test -e /context/kept\n'
        "FROM first\nRUN false\n"
    )
    (context.folder / ".dockerignore").write_text("secret\n")
    (context.folder / "secret").write_text("x")
    (context.folder / "kept").write_text("x")
    reference = real_engine.new_image()
    lines: list[str] = []
    fields = {"build_args": {"WHAT": "that one"}, "target": "first", "labels": {"who": "us"}}
    image_id = await _build(engine, context, reference, lines.append, **fields)

    image = _inspected(real_engine, reference)
    assert (image["Id"], {"from": "file", "who": "us"}) == (image_id, image["Config"]["Labels"])
    assert any(line.startswith("Step 1/") for line in lines)
    assert any(line.startswith("Successfully built") for line in lines)


@pytest.mark.parametrize("helper", ["missing", "hanging"])
async def test_a_credential_helper_ends_no_build(
    real_engine: RealEngine, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    """The base image is there, so no credentials are needed; the log has a warning."""
    program = tmp_path / "docker-credential-hanging"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": helper, "auths": {"x": {"auth": ""}}}))
    context.dockerfile("FROM BASE\nLABEL is=built\n")
    engine = DockerEngine(docker_host=real_engine.docker_host, config_path=tmp_path, helper_timeout_seconds=0.2)
    lines: list[str] = []
    await _build(engine, context, real_engine.new_image(), lines.append)
    await engine.close()

    assert lines[0].startswith(f"Warning: docker-credential-{helper} ")
    assert [] == await asyncio.to_thread(children, "sleep")


async def test_the_cache_is_used_unless_it_is_not_wanted(
    engine: DockerEngine, real_engine: RealEngine, context: Context
) -> None:
    """The same id twice, then another."""
    context.dockerfile("FROM BASE\nRUN cat /proc/sys/kernel/random/uuid > /unique\n")
    reference = real_engine.new_image()
    first = await _build(engine, context, reference)
    again = await _build(engine, context, reference)
    anew = await _build(engine, context, reference, no_cache=True)
    real_engine.remove_later(first)

    assert (True, True) == (first == again, first != anew)


async def test_a_failing_step_shows_the_end_of_its_log(
    engine: DockerEngine, real_engine: RealEngine, context: Context
) -> None:
    """Also what it wrote to stderr; nothing of the build arguments, in any spelling."""
    context.dockerfile('FROM BASE\nARG TOKEN\nRUN echo "token $TOKEN"; echo "to $TOKEN" >&2; exit 3\n')
    error = await _failed(engine, context, real_engine.new_image(), build_args={"TOKEN": SECRET})

    assert (True, True) == ("returned a non-zero code: 3" in error.message, "token ***" in error.message)
    assert "to ***" in error.message
    assert [] == [str(link) for link in _chain(error) if "w%C3%B6rd" in str(link) or "wörd" in str(link)]


async def test_no_line_holds_a_build_argument(engine: DockerEngine, real_engine: RealEngine, context: Context) -> None:
    """Cut in two, and across lines."""
    context.dockerfile(
        "FROM BASE\nARG TOKEN\nARG KEY\n"
        'RUN printf %s "${TOKEN%?????????}"; sleep 0.3; printf "%s\\n" "${TOKEN#??????}"; printf "%s\\n" "$KEY"\n'
    )
    lines: list[str] = []
    build_args = {"TOKEN": "s3cr3t-and-more", "KEY": "-----BEGIN-----\nabcdef\n-----END-----\n"}
    await _build(engine, context, real_engine.new_image(), lines.append, build_args=build_args)

    assert [] == [line for line in lines if any(word in line for word in ("and-more", "abcdef", "BEGIN"))]
    assert ["***"] * 4 == [line for line in lines if line == "***"]


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FRM scratch\n", "unknown instruction"),
        ("FROM 127.0.0.1:1/nothing:1\n", "127.0.0.1:1"),
        ("FROM BASE\nCOPY nothing /\n", "nothing"),
        ("", "empty"),
    ],
)
async def test_a_dockerfile_that_cannot_be_built(
    engine: DockerEngine, real_engine: RealEngine, context: Context, dockerfile: str, expected: str
) -> None:
    """The error has the engine's message."""
    context.dockerfile(dockerfile)
    error = await _failed(engine, context, real_engine.new_image())

    assert expected in error.message.lower()


async def test_a_dockerfile_that_is_not_there(engine: DockerEngine, real_engine: RealEngine, context: Context) -> None:
    """It is an error of the build, with its reason."""
    assert "Dockerfile" in (await _failed(engine, context, real_engine.new_image())).message


async def test_a_target_that_is_not_there(engine: DockerEngine, real_engine: RealEngine, context: Context) -> None:
    """It is an error of the build, with its reason."""
    context.dockerfile("FROM BASE\n")

    assert "nowhere" in (await _failed(engine, context, real_engine.new_image(), target="nowhere")).message


async def test_a_context_may_hold_a_fifo(engine: DockerEngine, real_engine: RealEngine, context: Context) -> None:
    """It is not read."""
    context.dockerfile("FROM BASE\nCOPY Dockerfile /\n")
    os.mkfifo(context.folder / "fifo")

    assert await _build(engine, context, real_engine.new_image())


async def test_cancelling_a_build_stops_the_engines_work(
    engine: DockerEngine, real_engine: RealEngine, context: Context
) -> None:
    """The step's container is gone, and there is no image."""
    command = f"sleep {random.randint(300_000, 399_999)}"
    context.dockerfile(f"FROM BASE\nRUN {command}\n")
    reference = real_engine.new_image()

    def containers() -> list[dict[str, Any]]:
        return [container for container in _found(real_engine) if command in container["Command"]]

    task = asyncio.create_task(_build(engine, context, reference))
    assert await eventually_in_thread(lambda: bool(containers()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await eventually_in_thread(lambda: not containers())
    assert await engine.inspect(reference) is None


async def test_a_build_has_a_deadline(real_engine: RealEngine, context: Context) -> None:
    """It stops the engine's work like a cancel."""
    context.dockerfile("FROM BASE\nRUN echo begun; sleep 300\n")
    engine = DockerEngine(docker_host=real_engine.docker_host, build_timeout_seconds=2)
    error = await _failed(engine, context, real_engine.new_image(), no_cache=True)
    await engine.close()

    assert (True, True) == ("within 2 s" in error.message, "begun" in error.message)


async def test_an_image_survives_export_and_load(
    engine: DockerEngine, real_engine: RealEngine, context: Context
) -> None:
    """With the same layers."""
    context.dockerfile("FROM BASE\nRUN cat /proc/sys/kernel/random/uuid > /unique\n")
    reference = real_engine.new_image()
    await _build(engine, context, reference)
    before = await engine.inspect(reference)
    archive = await engine.export(reference, list)
    real_engine.api.remove_image(reference, force=True)
    assert await engine.inspect(reference) is None
    await engine.load(iter(archive))

    assert isinstance(before, ImageFacts)
    assert before == await engine.inspect(reference)
    assert 2 <= len(before.diff_ids)


async def test_an_image_that_is_not_there_cannot_be_exported(engine: DockerEngine, real_engine: RealEngine) -> None:
    """It is an EngineRefusedError."""
    reference = f"{real_engine.new_name()}:1"
    with pytest.raises(OperationError) as caught:
        await engine.export(reference, list)

    assert (EngineRefusedError, f"The image {reference} could not be exported: no such image") == (
        type(caught.value),
        caught.value.message,
    )


@pytest.mark.parametrize("broken", ["cut", "garbage", "empty"])
async def test_a_broken_archive_is_refused(engine: DockerEngine, real_engine: RealEngine, broken: str) -> None:
    """The error has the engine's message."""
    archive: bytes = b"x" * 5_000_000 if broken == "garbage" else b""
    if broken == "cut":
        archive = await engine.export(real_engine.base_image, lambda chunks: b"".join(chunks)[:300_000])
    with pytest.raises(OperationError) as caught:
        await engine.load(archive[start : start + 65_536] for start in range(0, len(archive), 65_536))

    assert (EngineRefusedError, True) == (type(caught.value), "could not be loaded: " in caught.value.message)


LARGE_BYTES = 200_000_000


@pytest.fixture
async def large_image(engine: DockerEngine, real_engine: RealEngine, context: Context) -> str:
    """An image of 200 MB: Docker's classic store is silent for a while before it sends the first byte of it."""
    context.dockerfile(f"FROM BASE\nRUN head -c {LARGE_BYTES} /dev/urandom > /large\n")
    reference = real_engine.new_image()
    await _build(engine, context, reference)
    return reference


@pytest.mark.parametrize("when", ["before the first byte", "in the middle"])
async def test_cancelling_an_export_returns_at_once(engine: DockerEngine, large_image: str, when: str) -> None:
    """Its consumer has ended then; a second cancel changes nothing."""
    in_the_middle, cancelled, ended = threading.Event(), threading.Event(), threading.Event()
    sizes: list[int] = []

    def consume(chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                sizes.append(len(chunk))
                in_the_middle.set()
                cancelled.wait()
        finally:
            ended.set()

    task = asyncio.create_task(engine.export(large_image, consume))
    if when == "in the middle":
        await asyncio.to_thread(in_the_middle.wait)
    else:
        await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    # Before the first byte, the consumer may not have been called yet.
    assert ended.is_set() or not in_the_middle.is_set()
    assert sum(sizes) < LARGE_BYTES


async def test_an_error_of_a_consumer_is_raised(engine: DockerEngine, large_image: str) -> None:
    """The engine goes on."""

    def full(chunks: Iterator[bytes]) -> None:
        next(chunks)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await engine.export(large_image, full)
    assert await engine.inspect(large_image) is not None


async def test_cancelling_a_load_leaves_no_image(
    engine: DockerEngine, real_engine: RealEngine, large_image: str
) -> None:
    """The engine gets no end of the archive."""
    archive = await engine.export(large_image, list)
    real_engine.api.remove_image(large_image, force=True)
    sent, cancelled = threading.Event(), threading.Event()
    taken: list[int] = []

    def halfway() -> Iterator[bytes]:
        for number, chunk in enumerate(archive):
            if number == len(archive) // 2:
                sent.set()
                cancelled.wait()
            taken.append(number)
            yield chunk

    task = asyncio.create_task(engine.load(halfway()))
    await asyncio.to_thread(sent.wait)
    task.cancel()
    await asyncio.sleep(0)
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(taken) < len(archive)
    assert await engine.inspect(large_image) is None
