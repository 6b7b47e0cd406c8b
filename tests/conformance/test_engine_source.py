"""`ImageSource`: what every engine from which images are read does."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError
from support.engine.under_test import EngineUnderTest, files_in


async def test_an_export_is_the_archive_of_the_image(subject: EngineUnderTest) -> None:
    """It is read in another thread, and the result of the reader is returned."""
    reference = await subject.loaded("exported")
    content, thread = await subject.engine.export(reference, lambda chunks: (b"".join(chunks), threading.get_ident()))

    assert threading.get_ident() != thread
    assert "manifest.json" in files_in(content)


async def test_an_image_can_be_exported_by_its_id(subject: EngineUnderTest) -> None:
    """Then it has no name on the way, perhaps."""
    image = await subject.engine.inspect(await subject.loaded("by its id"))
    assert image is not None

    assert "manifest.json" in files_in(await subject.engine.export(image.image_id, b"".join))


async def test_a_missing_image_cannot_be_exported(subject: EngineUnderTest) -> None:
    """The reader is not called."""
    called: list[Iterator[bytes]] = []
    with pytest.raises(EngineRefusedError, match="no such image"):
        await subject.engine.export(subject.new_reference(), called.append)

    assert [] == called


@pytest.mark.parametrize("error", [LookupError("mine"), OSError(28, "mine"), TimeoutError("mine")])
async def test_an_error_of_the_reader_is_raised(subject: EngineUnderTest, error: Exception) -> None:
    """It has its own type, also where the connection could raise the same; the engine goes on."""
    reference = await subject.loaded("read badly")

    def consume(chunks: Iterator[bytes]) -> None:
        next(chunks)
        raise error

    with pytest.raises(type(error), match="mine"):
        await subject.engine.export(reference, consume)

    assert await subject.engine.inspect(reference) is not None


async def test_a_reader_may_stop_early(subject: EngineUnderTest) -> None:
    """The rest is not read."""
    assert 0 < await subject.engine.export(await subject.loaded("in part"), lambda chunks: len(next(chunks)))


async def test_a_cancelled_export_has_ended(subject: EngineUnderTest) -> None:
    """The reader has returned when `CancelledError` is raised, also after a second cancellation."""
    reference = await subject.loaded("cancelled")
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def consume(chunks: Iterator[bytes]) -> None:
        next(chunks)
        began.set()
        go_on.wait()
        ended.set()

    task = asyncio.create_task(subject.engine.export(reference, consume))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()


async def test_a_missing_image_is_none(subject: EngineUnderTest) -> None:
    """Neither a name nor an id leads to it."""
    found = [await subject.engine.inspect(key) for key in (subject.new_reference(), f"sha256:{'1' * 64}")]

    assert [None, None] == found


async def test_an_image_has_an_id_layers_and_a_platform(subject: EngineUnderTest) -> None:
    """By its configuration."""
    image = await subject.engine.inspect(await subject.loaded("described"))
    assert image is not None

    assert (True, 1, "linux/amd64") == (image.image_id.startswith("sha256:"), len(image.diff_ids), image.platform)
