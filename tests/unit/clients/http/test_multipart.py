"""The multipart body: as others read it, of the announced length, from the start each time."""

import asyncio
import email.parser
import email.policy
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.multipart import MultipartBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageDamagedError, StorageError
from support.sending.content import CONTENT as PACKAGE

FIELDS = {"package_id": "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10", "image_tag": "1.0"}
CONTENT = os.urandom(3_000_001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not end with a chunk."""
    path = tmp_path / "image.tar.gz"
    path.write_bytes(CONTENT)
    return path


def a_body(file: Any, size_bytes: int, **changes: Any) -> MultipartBody:
    """Return the body of a file with these fields."""
    identity = replace(PACKAGE.identity, size_bytes=size_bytes)
    return MultipartBody(FIELDS, "package", replace(PACKAGE, identity=identity, file=file, **changes))


async def whole(body: MultipartBody, sent: list[int] | None = None) -> bytes:
    """Read a body to its end."""
    return b"".join([chunk async for chunk in body.chunks((sent if sent is not None else []).append)])


async def test_another_parser_reads_the_fields_in_order_and_then_the_file(path: Path) -> None:
    """Python's email parser finds the parts as RFC 7578 has them."""
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT))
        text = f"Content-Type: {body.content_type}\r\n\r\n".encode() + await whole(body)
    parts = list(email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text).iter_parts())

    assert ["package_id", "image_tag", "package"] == [
        part.get_param("name", header="content-disposition") for part in parts
    ]
    assert [*(value.encode() for value in FIELDS.values()), CONTENT] == [
        part.get_payload(decode=True) for part in parts
    ]
    assert "image.tar.gz" == parts[-1].get_filename()
    assert "application/octet-stream" == parts[-1].get_content_type()


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
async def test_the_length_is_known_beforehand(tmp_path: Path, size: int) -> None:
    """The announced length is that of the body, for each size of the file."""
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    with path.open("rb") as file:
        body = a_body(file, size)

        assert body.length == len(await whole(body))


async def test_chunks_are_at_most_1_mib_and_each_is_reported(path: Path) -> None:
    """Memory stays small, and progress counts the bytes of the file alone."""
    sent: list[int] = []
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT))
        longest = max([len(chunk) async for chunk in body.chunks(sent.append)])

    assert 1 << 20 == longest
    assert [0, 1 << 20, 2 << 20, len(CONTENT)] == sent


async def test_a_second_reading_begins_at_the_start(path: Path) -> None:
    """A retry sends the same bytes, wherever the file's position is."""
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT))
        first = await whole(body)
        file.seek(17)

        assert first == await whole(body)


async def test_boundaries_are_never_the_same(path: Path) -> None:
    """The author of a package cannot predict a boundary."""
    with path.open("rb") as file:
        types = {a_body(file, 1).content_type for _ in range(10)}

    assert 10 == len(types)


async def test_a_file_that_became_shorter_is_a_mismatch(path: Path) -> None:
    """A part of the package is not sent as if it were the whole."""
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT))
        os.truncate(path, 1000)

        with pytest.raises(PackageDamagedError, match="ends after 1000 of 3000001 bytes"):
            await whole(body)


async def test_a_file_that_became_longer_is_sent_as_it_was(path: Path) -> None:
    """Bytes behind the announced size are not sent."""
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT))
        with path.open("ab") as more:
            more.write(b"more")

        assert body.length == len(await whole(body))


async def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    """A descriptor that is open for writing only stands for a disk that refuses."""
    with (tmp_path / "file").open("wb") as file:
        body = a_body(file, 10)

        with pytest.raises(StorageError, match="cannot be read at byte 0") as caught:
            await whole(body)
    assert not caught.value.retry


@pytest.mark.parametrize("size", [0, 1, len(CONTENT)])
async def test_the_end_waits_for_the_verification(path: Path, size: int) -> None:
    """Until then a receiver has no whole file; a cancelled reading leaves the verification to the next one."""
    verification = asyncio.get_running_loop().create_future()
    with path.open("rb") as file:
        body = a_body(file, size, verified=partial(asyncio.shield, verification))
        seen: list[bytes] = []

        async def read() -> None:
            async for chunk in body.chunks(lambda _: None):
                seen.append(chunk)  # noqa: PERF401 - the chunks before the cancellation count

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 0.1)
        assert len(b"".join(seen)) < body.length - size + max(size - 1, 0)
        assert not verification.done()
        verification.set_result(None)

        assert body.length == len(await whole(body))


async def test_a_failed_verification_is_raised_before_the_next_chunk(path: Path) -> None:
    """The body does not continue to the end of the file."""
    verification = asyncio.get_running_loop().create_future()
    verification.set_exception(PackageDamagedError("another one"))
    sent: list[int] = []
    with path.open("rb") as file:
        body = a_body(file, len(CONTENT), verified=partial(asyncio.shield, verification))

        with pytest.raises(PackageDamagedError, match="another one"):
            await whole(body, sent)
    assert [0] == sent
