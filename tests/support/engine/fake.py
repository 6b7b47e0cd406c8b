"""An engine in memory; tests/conformance holds it to what real engines do."""

import asyncio
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    BuildError,
    EngineRefusedError,
    EngineUnavailableError,
    ErrorCode,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest, EngineInfo, ImageFacts
from support.archives.archives import image_archive
from support.engine.runtime import FakeRuntime

__all__ = ["FakeEngine"]

T = TypeVar("T")

# `name:tag` as engines accept it (github.com/distribution/reference, regexp.go), without digests.
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class FakeEngine:
    """Implements `ContainerEngine` in memory.

    Args:
        lines: The log of each build.
        archive: Makes the archive of a built image, given its `name:tag`.
        chunk_bytes: The size of the chunks of an export.
        strict: Whether containers need an image that is there, and nothing can be done after `close`, as with real
            engines. If not, tests may create containers of images that they never loaded, and open this one again.

    Attributes:
        images: Archives by `name:tag`; tests may add some, and find those that were built and loaded.
        requests: What was built.
        runtime: Its containers; creating one is the call `run`.
        cut_after_bytes: Where exports break off with EngineUnavailableError, if not None.
        hold: Clear it, and every call that is recorded in `calls` waits there until it is set.
        calls: The name of each method that was called, except `ping`.
    """

    def __init__(
        self,
        *,
        lines: Sequence[str] = ("Step 1/1 : FROM scratch", "Successfully built 0123456789ab"),
        archive: Callable[[str], bytes] = lambda reference: image_archive("oci", reference),
        chunk_bytes: int = 1000,
        strict: bool = False,
    ) -> None:
        self.images: dict[str, bytes] = {}
        self.requests: list[BuildRequest] = []
        self.runtime = FakeRuntime(
            before=self._before, after=self._after, has_image=self._has_image, check_open=self._check_open
        )
        self.cut_after_bytes: int | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.calls: list[str] = []
        self._lines = lines
        self._archive = archive
        self._chunk_bytes = chunk_bytes
        self._by_id: dict[str, bytes] = {}  # an image whose name went to another one is still there under its id
        self._failures: dict[str, list[OperationError]] = {}
        self._running: set[threading.Event] = set()
        self._strict = strict
        self._closed = False

    def fail(
        self,
        method: str,
        kind: type[OperationError] | ErrorCode,
        message: str = "as the test wants it",
        times: int = 1,
    ) -> None:
        """Make the next calls of a method fail with an error of this type, or of the type that has this public code."""
        if isinstance(kind, ErrorCode):
            refused = BuildError if method == "build" else EngineRefusedError
            kind = EngineUnavailableError if kind is ErrorCode.DOCKER_UNAVAILABLE else refused
        self._failures.setdefault(method, []).extend(kind(message) for _ in range(times))

    def heal(self, method: str) -> None:
        """Let the calls of a method succeed again."""
        self._failures.pop(method, None)

    def failures_left(self, method: str) -> int:
        """Return how often a method will still fail."""
        return len(self._failures.get(method, ()))

    @property
    def containers(self) -> dict[str, tuple[str, dict[str, str]]]:
        """The containers that were created: the image's id and the labels, by the container's name."""
        found = self.runtime.containers.values()
        return {one.facts.name: (one.spec.image_id, dict(one.spec.labels)) for one in found if one.spec is not None}

    async def ping(self) -> None:
        await self._called("ping", recorded=False)

    async def info(self) -> EngineInfo:
        await self._called("info")
        return EngineInfo(
            version="0.0.0-fake",
            storage_driver="memory",
            data_folder="/nowhere",
            os="linux",
            architecture="amd64",
        )

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        self._check_open()
        self.requests.append(request)
        if await asyncio.to_thread(_is_missing, request):
            raise BuildError(f"The image {request.reference} could not be built: there is no {request.dockerfile}")
        for line in self._lines:
            on_line(line)
        await self._called("build")
        archive = self._archive(request.reference)
        facts, _ = await asyncio.to_thread(_facts, archive)
        self.images[request.reference] = self._by_id[facts.image_id] = archive
        return facts.image_id

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        await self._called("export")
        archive = await self._found(reference)
        if archive is None:
            raise EngineRefusedError(f"The image {reference} could not be exported: no such image")
        return await self._in_thread(lambda stop: consume(self._chunks(archive, stop)))

    async def load(self, chunks: Iterator[bytes]) -> None:
        await self._called("load")
        archive = await self._in_thread(lambda stop: b"".join(_until(stop, chunks)))
        try:
            facts, names = await asyncio.to_thread(_facts, archive)
        except (tarfile.TarError, KeyError, ValueError) as exc:
            raise EngineRefusedError(f"The image could not be loaded: {exc}") from exc
        self.images |= dict.fromkeys(names, archive)
        self._by_id[facts.image_id] = archive

    async def inspect(self, reference: str) -> ImageFacts | None:
        await self._called("inspect")
        archive = await self._found(reference)
        return None if archive is None else (await asyncio.to_thread(_facts, archive))[0]

    async def tag(self, image_id: str, reference: str) -> None:
        await self._called("tag")
        archive = await self._found(image_id)
        if archive is None:
            raise EngineRefusedError(f"no such image: {image_id}")
        if not _REFERENCE.fullmatch(reference):
            raise EngineRefusedError(f"invalid reference: {reference}")
        self.images[reference] = archive

    async def untag(self, reference: str) -> None:
        await self._called("untag")
        if reference not in self.images:
            return
        ids = {name: await self._id_of(archive) for name, archive in list(self.images.items())}
        image_id = ids.pop(reference)
        if image_id not in ids.values():
            if any(spec.image_id == image_id for spec in self.runtime.specs()):
                raise EngineRefusedError(f"{reference} is used by a container")
            self._by_id.pop(image_id, None)
        self.images.pop(reference, None)

    async def references(self, repository: str) -> tuple[str, ...]:
        await self._called("references")
        return tuple(name for name in self.images if name.rpartition(":")[0] == repository)

    async def close(self) -> None:
        self.calls.append("close")
        self._closed = self._strict
        for stop in self._running:
            stop.set()

    async def _before(self, method: str) -> None:
        if method == "create":
            await self._called("run")

    async def _after(self, method: str) -> None:
        pass

    async def _called(self, method: str, *, recorded: bool = True) -> None:
        self._check_open()
        if recorded:
            self.calls.append(method)
            await self.hold.wait()
        await asyncio.sleep(0)  # a cancellation gets in here, as it does wherever a real engine is waited for
        if failures := self._failures.get(method):
            raise failures.pop(0)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailableError("The connection to the engine was closed.")

    async def _has_image(self, image_id: str) -> bool:
        return not self._strict or await self._found(image_id) is not None

    async def _found(self, key: str) -> bytes | None:
        """Find an archive by a name or an id."""
        if key in self.images:
            return self.images[key]
        if key in self._by_id:
            return self._by_id[key]
        for archive in list(self.images.values()):
            if await self._id_of(archive) == key:
                return archive
        return None

    async def _id_of(self, archive: bytes) -> str:
        return (await asyncio.to_thread(_facts, archive))[0].image_id

    def _chunks(self, archive: bytes, stop: threading.Event) -> Iterator[bytes]:
        for start in range(0, len(archive), self._chunk_bytes):
            if stop.is_set() or (self.cut_after_bytes is not None and start >= self.cut_after_bytes):
                raise EngineUnavailableError("the export broke off")
            yield archive[start : start + self._chunk_bytes]

    async def _in_thread(self, work: Callable[[threading.Event], T]) -> T:
        """Run in a thread, which has ended when this returns or raises, as the port demands."""
        stop = threading.Event()
        self._running.add(stop)
        task = asyncio.ensure_future(asyncio.to_thread(work, stop))
        try:
            outcome = await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait((task,))
            task.exception()
            raise
        finally:
            self._running.discard(stop)
        self._check_open()
        return outcome


def _facts(archive: bytes) -> tuple[ImageFacts, list[str]]:
    """Read an image archive: the image, and its names."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:

        def content(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        (entry,) = json.loads(content("manifest.json"))
        config = content(entry["Config"])
    document: dict[str, Any] = json.loads(config)
    facts = ImageFacts(
        f"sha256:{hashlib.sha256(config).hexdigest()}",
        tuple(document["rootfs"]["diff_ids"]),
        os=document.get("os", ""),
        architecture=document.get("architecture", ""),
        variant=document.get("variant", ""),
    )
    return facts, entry["RepoTags"] or []


def _is_missing(request: BuildRequest) -> bool:
    return not (request.context / request.dockerfile).is_file()


def _until(stop: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stop.is_set():
            raise EngineUnavailableError("the load broke off")
        yield chunk


_Hook = Callable[[str], Awaitable[None]]
