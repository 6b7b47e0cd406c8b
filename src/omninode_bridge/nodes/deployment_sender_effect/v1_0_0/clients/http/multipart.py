"""A multipart/form-data body (RFC 7578) of a few fields and one file: streamed, its length known beforehand."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiofiles.os

from ...concurrency import retrieve_exception, wait_until_done
from ...errors import PackageDamagedError, StorageError
from ...ports import PackageContent

__all__ = ["MultipartBody"]

_CHUNK_BYTES = 1 << 20  # 1 MiB: what one write of the connection is given
_read_at = aiofiles.os.wrap(os.pread)


class MultipartBody:
    """The fields in their order, then the file.

    Args:
        fields: Names and values in ASCII without line ends.
        part: The name of the file's part.
        content: The file; read from its start each time, so that a retry begins anew.

    Attributes:
        content_type: The header's value.
        length: Bytes of the whole body.
    """

    def __init__(self, fields: Mapping[str, str], part: str, content: PackageContent) -> None:
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; filename="{content.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode("ascii")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self._content = content
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + content.size_bytes + len(self._tail)

    async def chunks(self, on_sent: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces of up to 1 MiB.

        Args:
            on_sent: Called with the bytes of the file that were taken so far: 0 at first, then after each piece.

        Raises:
            PackageDamagedError: The file ends too early.
            StorageError: The file cannot be read.
            OperationError: What `content.verified` raises, before the next piece.
        """
        on_sent(0)
        done, size_bytes = 0, self._content.size_bytes
        verification = asyncio.ensure_future(self._content.verified())
        reader = ThreadPoolExecutor(1, "package-reader")  # the loop's own is kept free (docs/adr/0004)
        ahead = self._begin_read(done, reader)  # the next piece is read while the one before it is sent
        try:
            yield self._head
            while done < size_bytes:
                chunk = await asyncio.shield(ahead)
                ahead = self._begin_read(done + len(chunk), reader)
                done += len(chunk)
                if done == size_bytes or verification.done():
                    await verification
                yield chunk
                on_sent(done)
            await verification
        finally:
            verification.cancel()
            pending: list[asyncio.Future[Any]] = [ahead, verification]
            await wait_until_done(pending)  # the file may be closed afterwards
            for future in pending:
                retrieve_exception(future)
            reader.shutdown(wait=False)  # nothing runs there any more
        yield self._tail

    def _begin_read(self, position: int, reader: ThreadPoolExecutor) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(self._read(position, reader))

    async def _read(self, position: int, reader: ThreadPoolExecutor) -> bytes:
        left = self._content.size_bytes - position
        if not left:
            return b""
        try:
            chunk: bytes = await _read_at(
                self._content.file.fileno(), min(_CHUNK_BYTES, left), position, executor=reader
            )
        except OSError as exc:
            raise StorageError(
                f"the package file cannot be read at byte {position}: {exc.strerror}",
                recovery="Check the disk of the package store, and package the image again.",
            ) from exc
        if not chunk:
            raise PackageDamagedError(
                f"the package file ends after {position} of {position + left} bytes: it was cut while it was sent"
            )
        return chunk
