"""`ImageBuilder`: what every engine that builds images does."""

import asyncio
import threading

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import BuildError
from support.engine.under_test import EngineUnderTest


async def test_a_build_returns_the_id_of_the_image_that_has_the_name(subject: EngineUnderTest) -> None:
    """The name leads to it, and it can be found by its id."""
    reference = subject.new_reference()
    image_id = await subject.engine.build(subject.request(reference), lambda _: None)
    named, found = await subject.engine.inspect(reference), await subject.engine.inspect(image_id)

    assert named is not None
    assert (image_id, named) == (named.image_id, found)


async def test_each_line_of_the_log_is_reported_on_the_loops_thread(subject: EngineUnderTest) -> None:
    """Lines have neither a line break nor nothing in them."""
    lines: list[tuple[str, int]] = []
    await subject.engine.build(
        subject.request(subject.new_reference()), lambda line: lines.append((line, threading.get_ident()))
    )

    assert [] != lines
    assert {threading.get_ident()} == {thread for _, thread in lines}
    assert [] == [line for line, _ in lines if not line.strip() or "\n" in line]


async def test_a_missing_dockerfile_is_a_build_error(subject: EngineUnderTest) -> None:
    """It leaves no image."""
    reference = subject.new_reference()
    request = subject.request(reference)
    (subject.folder / "Dockerfile").unlink()
    with pytest.raises(BuildError, match="Dockerfile"):
        await subject.engine.build(request, lambda _: None)

    assert await subject.engine.inspect(reference) is None


async def test_an_error_of_the_callback_is_raised(subject: EngineUnderTest) -> None:
    """It has its own type, and the build ends."""

    def on_line(_: str) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await subject.engine.build(subject.request(subject.new_reference()), on_line)


async def test_a_cancelled_build_leaves_no_image(service_subject: EngineUnderTest) -> None:
    """It is cancelled at its first line; a step that takes long follows."""
    engine, reference = service_subject.engine, service_subject.new_reference()
    dockerfile = f"FROM {service_subject.base_image}\nRUN sleep 600\n"
    request = service_subject.request(reference, dockerfile)

    def cancel(_: str) -> None:
        task.cancel()

    async def build() -> None:
        await engine.build(request, cancel)

    task = asyncio.create_task(build())
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await engine.inspect(reference) is None
