"""Checks and rewrites stored packages in threads, a few at once."""

import asyncio
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path

from ...concurrency import result_when_done
from ...errors import InvalidInputError
from ...image.docker_archive import ImageArchive
from ...image.engine_archive import EngineArchive
from ...models.reference import ImageReference
from ...package.unpack import check_package, rewritten_for_engine
from ..limits import CHECKS_AT_ONCE, UNPACKED_FACTOR
from ..state import ReceiverState
from .record import Deployment

__all__ = ["INCOMING", "Packages"]

# Images have a name of this repository until they were compared; RFC 2606 keeps `.invalid` free of names that resolve.
INCOMING = "incoming.invalid/deployment"
_INCOMING_DOMAIN = INCOMING.partition("/")[0]


class Packages:
    """Reads packages for all uploads and loads.

    Args:
        state: The receiver's state.
    """

    def __init__(self, state: ReceiverState) -> None:
        self._workers = state.workers
        self._slots = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._max_bytes = state.settings.max_package_size_bytes * UNPACKED_FACTOR

    async def check(self, path: Path, deployment: Deployment) -> ImageArchive:
        """Read a package through, as `check_package` does; a cancellation stops it.

        Raises:
            InvalidInputError: The package holds no image that may be loaded, or another one than announced.
            PackageDamagedError: The checksum is another.
            PackageTooLargeError: It decompresses to more than the limit.
            OSError: The file cannot be read.
        """
        if ImageReference.parse(deployment.reference).domain.lower() == _INCOMING_DOMAIN:
            raise InvalidInputError(f"the receiver keeps names of {_INCOMING_DOMAIN} for itself")
        stop = threading.Event()
        check = partial(
            check_package,
            announced_digest=deployment.announced_digest,
            max_bytes=self._max_bytes,
            should_stop=stop.is_set,
        )
        async with self._slots:
            return await result_when_done(self._workers.begin(check, path, deployment.identity), stop.set)

    def written_for_engine(
        self, path: Path, deployment: Deployment, archive: EngineArchive
    ) -> Generator[bytes, None, None]:
        """Yield the archive for the engine, as `rewritten_for_engine` does; blocks."""
        return rewritten_for_engine(path, deployment.identity, archive, max_bytes=self._max_bytes)
