"""Hashing files by BLAKE3."""

from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import (
    HashingStoppedError,
    hash_file,
    hasher,
)

# github.com/BLAKE3-team/BLAKE3, test_vectors.json, input_len 0.
_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
# `printf abc | b3sum`
_OF_ABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


def test_an_empty_file(tmp_path: Path) -> None:
    """An empty file has the BLAKE3 of nothing."""
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert _OF_NOTHING == hash_file(file)


def test_as_b3sum_prints_it() -> None:
    """The digest is 64 hex digits, as b3sum prints them."""
    digest = hasher()
    digest.update(b"abc")

    assert _OF_ABC == digest.hexdigest()


def test_pieces_and_position(tmp_path: Path) -> None:
    """A file of several pieces is hashed from its start, and its position stays."""
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    digest = hasher()
    digest.update(content)
    with (tmp_path / "file").open("rb") as file:
        file.seek(17)

        assert digest.hexdigest() == hash_file(file)
        assert 17 == file.tell()


@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1])
def test_the_first_bytes_of_a_file(tmp_path: Path, size: int) -> None:
    """With a limit, the bytes behind it are not hashed."""
    (tmp_path / "file").write_bytes(bytes(5 << 20))
    digest = hasher()
    digest.update(bytes(size))
    with (tmp_path / "file").open("rb") as file:
        assert digest.hexdigest() == hash_file(file, max_bytes=size)


def test_the_caller_stops_it(tmp_path: Path) -> None:
    """Hashing ends between two pieces when the caller stops it."""
    (tmp_path / "file").write_bytes(bytes(12 << 20))
    calls: list[None] = []

    def should_stop() -> bool:
        calls.append(None)
        return len(calls) == 3

    with (tmp_path / "file").open("rb") as file, pytest.raises(HashingStoppedError):
        hash_file(file, should_stop)
    assert 3 == len(calls)
