"""BLAKE3 of a package file, as `b3sum FILE` prints it."""

import os
from collections.abc import Callable
from typing import BinaryIO, Protocol

__all__ = ["Hasher", "HashingStoppedError", "hash_file", "hasher"]

# BLAKE3 does 3.4 GB/s in pieces of 64 KB and 5.8 GB/s in pieces of 1 MB.
_PIECE_BYTES = 1 << 20


class HashingStoppedError(Exception):
    """The caller asked `hash_file` to stop before the end."""


class Hasher(Protocol):
    """A BLAKE3 under way; `update` lets other threads run."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take the next bytes."""
        ...

    def hexdigest(self) -> str:
        """Answer the digest of all bytes so far, 64 hex digits."""
        ...


def hasher() -> Hasher:
    """Start a BLAKE3."""
    from blake3 import blake3  # noqa: PLC0415 - loaded where it is used

    return blake3()


def _never() -> bool:
    return False


def hash_file(file: BinaryIO, should_stop: Callable[[], bool] = _never) -> str:
    """Hash a whole open file, in pieces of 1 MiB, without moving its position.

    Args:
        file: Open for reading, with a descriptor.
        should_stop: Asked before each piece.

    Returns:
        The BLAKE3, 64 hex digits.

    Raises:
        HashingStoppedError: `should_stop` said so.
        OSError: The disk cannot be read.
    """
    digest = hasher()
    position = 0
    while not should_stop():
        piece = os.pread(file.fileno(), _PIECE_BYTES, position)
        if not piece:
            return digest.hexdigest()
        digest.update(piece)
        position += len(piece)
    raise HashingStoppedError
