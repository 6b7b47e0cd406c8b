"""`ImageStore`: what every engine that keeps images does."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError
from support.engine.under_test import EngineUnderTest, archive


async def test_an_exported_image_can_be_loaded_again(subject: EngineUnderTest) -> None:
    """It has the same layers and name."""
    reference = await subject.loaded("there and back")
    before = await subject.engine.inspect(reference)
    chunks = await subject.engine.export(reference, list)
    await subject.engine.untag(reference)
    assert await subject.engine.inspect(reference) is None
    await subject.engine.load(iter(chunks))

    assert before is not None
    assert before == await subject.engine.inspect(reference)


@pytest.mark.parametrize("kind", ["garbage", "cut", "empty"])
async def test_a_broken_archive_is_refused(subject: EngineUnderTest, kind: str) -> None:
    """Its name leads to no image."""
    reference = subject.new_reference()
    whole = archive(reference)
    content = {"garbage": b"x" * 100_000, "cut": whole[: len(whole) // 2], "empty": b""}[kind]
    with pytest.raises(EngineRefusedError):
        await subject.engine.load(iter([content] if content else []))

    assert await subject.engine.inspect(reference) is None


@pytest.mark.parametrize("error", [LookupError("mine"), BrokenPipeError("mine"), TimeoutError("mine")])
async def test_an_error_of_the_chunks_is_raised(subject: EngineUnderTest, error: Exception) -> None:
    """It has its own type, also where the connection could raise the same; nothing is loaded."""
    reference = subject.new_reference()
    content = archive(reference)

    def chunks() -> Iterator[bytes]:
        yield content[:1000]
        raise error

    with pytest.raises(type(error), match="mine"):
        await subject.engine.load(chunks())

    assert await subject.engine.inspect(reference) is None


async def test_a_cancelled_load_leaves_no_image(subject: EngineUnderTest) -> None:
    """The chunks are read no further when `CancelledError` is raised."""
    reference = subject.new_reference()
    content = archive(reference)
    began, go_on = threading.Event(), threading.Event()
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        yield content[:1000]
        began.set()
        go_on.wait()
        yield content[1000:-1000]
        taken.append(content[1000:-1000])
        yield content[-1000:]

    task = asyncio.create_task(subject.engine.load(chunks()))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == taken
    assert await subject.engine.inspect(reference) is None


async def test_an_image_may_have_several_names(subject: EngineUnderTest) -> None:
    """Each leads to it."""
    first, second = await subject.loaded("two names"), subject.new_reference()
    image = await subject.engine.inspect(first)
    assert image is not None
    await subject.engine.tag(image.image_id, second)

    assert [image, image] == [await subject.engine.inspect(first), await subject.engine.inspect(second)]


async def test_a_name_moves_to_another_image(subject: EngineUnderTest) -> None:
    """The image that had it loses it, and is still there by its other name."""
    one, other = await subject.loaded("one"), await subject.loaded("other")
    kept = subject.new_reference()
    before, after = await subject.engine.inspect(one), await subject.engine.inspect(other)
    assert before is not None
    assert after is not None
    await subject.engine.tag(before.image_id, kept)
    await subject.engine.tag(after.image_id, one)

    assert [after, before] == [await subject.engine.inspect(one), await subject.engine.inspect(kept)]


async def test_a_missing_image_cannot_be_named(subject: EngineUnderTest) -> None:
    """The name leads to no image."""
    reference = subject.new_reference()
    with pytest.raises(EngineRefusedError):
        await subject.engine.tag(f"sha256:{'1' * 64}", reference)

    assert await subject.engine.inspect(reference) is None


async def test_a_name_that_is_not_allowed_is_refused(subject: EngineUnderTest) -> None:
    """An upper-case letter is not allowed in it."""
    image = await subject.engine.inspect(await subject.loaded("badly named"))
    assert image is not None
    with pytest.raises(EngineRefusedError):
        await subject.engine.tag(image.image_id, f"Not-Allowed-{subject.new_name()}:1.0")


async def test_an_image_goes_with_its_last_name(subject: EngineUnderTest) -> None:
    """It stays while it has another one."""
    first, second = await subject.loaded("last name"), subject.new_reference()
    image = await subject.engine.inspect(first)
    assert image is not None
    await subject.engine.tag(image.image_id, second)
    await subject.engine.untag(first)
    assert image == await subject.engine.inspect(image.image_id)
    await subject.engine.untag(second)

    assert await subject.engine.inspect(image.image_id) is None


async def test_a_missing_name_can_be_removed(subject: EngineUnderTest) -> None:
    """Nothing happens."""
    await subject.engine.untag(subject.new_reference())


async def test_the_last_name_of_an_image_in_use_stays(service_subject: EngineUnderTest) -> None:
    """A container of it may not have been started yet."""
    reference = await service_subject.loaded("in use")
    image = await service_subject.engine.inspect(reference)
    assert image is not None
    await service_subject.created(image.image_id)
    with pytest.raises(EngineRefusedError):
        await service_subject.engine.untag(reference)

    assert image == await service_subject.engine.inspect(reference)


async def test_the_names_of_a_repository_are_listed(subject: EngineUnderTest) -> None:
    """Those of others are not, also where they begin the same way."""
    first = await subject.loaded("listed")
    repository = first.rpartition(":")[0]
    image = await subject.engine.inspect(first)
    assert image is not None
    names = [f"{repository}:2.0", f"{repository}-other:1.0", f"{repository}/below:1.0"]
    for name in names:
        await subject.engine.tag(image.image_id, name)
    listed = await subject.engine.references(repository)
    for name in names:
        await subject.engine.untag(name)

    assert [first, f"{repository}:2.0"] == sorted(listed)
    assert () == await subject.engine.references(subject.new_name())
