"""A multipart/form-data body (RFC 7578) of a few fields and one file, streamed with its length known beforehand."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import BinaryIO

import aiofiles.os

from ...concurrency import wait_until_done
from ...errors import DeploymentSenderError, ErrorCode

__all__ = ["MultipartBody"]

_CHUNK_BYTES = 1 << 20
_read_at = aiofiles.os.wrap(os.pread)


class MultipartBody:
    """The fields in their order, then the file.

    Args:
        fields: Names and values in ASCII without line ends.
        part: Name of the file's part.
        filename: Told to the receiver.
        file: Open for reading; read by position from its start each time, so that a retry begins anew.
        size_bytes: The file's size.
        check: What must have ended well before the file's last piece is sent; None for nothing.

    Attributes:
        content_type: The header's value.
        length: Bytes of the whole body.
    """

    def __init__(  # noqa: PLR0913 - what a form has, and what its file is
        self,
        fields: Mapping[str, str],
        part: str,
        filename: str,
        file: BinaryIO,
        size_bytes: int,
        *,
        check: asyncio.Future[None] | None = None,
    ) -> None:
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode("ascii")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self._file = file
        self._size_bytes = size_bytes
        self._check = check
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + size_bytes + len(self._tail)

    async def chunks(self, on_sent: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces of up to 1 MB, telling the bytes of the file that were taken so far, 0 at first.

        Raises:
            DeploymentSenderError: CHECKSUM_MISMATCH when the file ends too early, TRANSFER_FAILED when unreadable;
                what the check raises, as soon as it does.
        """
        on_sent(0)
        done = 0
        ahead = self._begin(done)  # the next piece is read while the one before it is sent
        try:
            yield self._head
            while done < self._size_bytes:
                chunk = await asyncio.shield(ahead)
                ahead = self._begin(done + len(chunk))
                done += len(chunk)
                await self._checked(is_last=done == self._size_bytes)
                yield chunk
                on_sent(done)
        finally:
            await wait_until_done([ahead])  # the file may be closed afterwards
            ahead.cancelled() or ahead.exception()  # nobody else asks
        await self._checked(is_last=True)
        yield self._tail

    async def _checked(self, *, is_last: bool) -> None:
        """Wait for the check before the last piece; raise what it has found before any."""
        if self._check is not None and (is_last or self._check.done()):
            await asyncio.shield(self._check)

    def _begin(self, position: int) -> "asyncio.Future[bytes]":
        return asyncio.ensure_future(self._read(position))

    async def _read(self, position: int) -> bytes:
        if position == self._size_bytes:
            return b""
        try:
            chunk = await _read_at(self._file.fileno(), min(_CHUNK_BYTES, self._size_bytes - position), position)
        except OSError as exc:
            raise DeploymentSenderError(
                ErrorCode.TRANSFER_FAILED,
                f"the package file cannot be read at byte {position}: {exc.strerror}",
                recovery="Check the disk of the package store, and package the image again.",
                retry=False,
            ) from exc
        if not chunk:
            raise DeploymentSenderError(
                ErrorCode.CHECKSUM_MISMATCH,
                f"the package file ends after {position} of {self._size_bytes} bytes: it was cut while it was sent",
            )
        return chunk
