"""Engines for tests: one in memory, and the real one with a base image to build on.

Tests name the fixtures below as arguments; tests/conftest.py brings them in.
"""

import asyncio
import hashlib
import io
import json
import os
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
import pytest
from docker.errors import APIError, DockerException, NotFound

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

__all__ = ["FakeEngine", "RealEngine", "base_image", "real_engine"]

T = TypeVar("T")

# The names that examples/base_image.py uses, too.
_PULLED = "busybox:latest"
_IMPORTED = "deployment-sender-base:latest"


def _facts(archive: bytes) -> tuple[ImageFacts, list[str]]:
    """Read an image archive: what it is, and its names."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:

        def content(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        (entry,) = json.loads(content("manifest.json"))
        config = content(entry["Config"])
    document = json.loads(config)
    facts = ImageFacts(
        f"sha256:{hashlib.sha256(config).hexdigest()}",
        tuple(document["rootfs"]["diff_ids"]),
        os=document.get("os", ""),
        architecture=document.get("architecture", ""),
        variant=document.get("variant", ""),
    )
    return facts, entry["RepoTags"] or []


class FakeEngine:
    """Implements `ContainerEngine` in memory.

    Args:
        lines: What each build tells.
        archive: Makes the archive of a built image, given its `name:tag`.
        chunk_bytes: How an export is cut.

    Attributes:
        images: Archives by `name:tag`; put some there, or find what was built and loaded.
        requests: What was built.
        runtime: Its containers; creating one is the call `run`.
        cut_after_bytes: Where exports break off with DOCKER_UNAVAILABLE, if not None.
        hold: Clear it, and every call that is noted in `calls` waits there until it is set.
        calls: The name of each method that was called, but for the question `ping`.
    """

    def __init__(
        self,
        *,
        lines: Sequence[str] = ("Step 1/1 : FROM scratch", "Successfully built 0123456789ab"),
        archive: Callable[[str], bytes] = lambda reference: image_archive("oci", reference),
        chunk_bytes: int = 1000,
    ) -> None:
        self.images: dict[str, bytes] = {}
        self.requests: list[BuildRequest] = []
        self.runtime = FakeRuntime(before=self._before, after=self._after)
        self.cut_after_bytes: int | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.calls: list[str] = []
        self._built: dict[str, ImageFacts] = {}
        self._lines = lines
        self._archive = archive
        self._chunk_bytes = chunk_bytes
        self._ever_loaded: list[bytes] = []  # an image that has lost its name is still there under its id
        self._failures: dict[str, list[OperationError]] = {}
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

    async def ping(self) -> None:
        await self._called("ping", noted=False)

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
        self.requests.append(request)
        for line in self._lines:
            on_line(line)
        await self._called("build")
        self.images[request.reference] = self._archive(request.reference)
        facts, _ = await asyncio.to_thread(_facts, self.images[request.reference])
        self._built[facts.image_id] = facts
        return facts.image_id

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        await self._called("export")
        if reference not in self.images:
            raise EngineRefusedError(f"no such image: {reference}")
        stop = threading.Event()
        return await _in_thread(stop, consume, self._chunks(self.images[reference], stop))

    async def load(self, chunks: Iterator[bytes]) -> None:
        await self._called("load")
        stop = threading.Event()
        archive = await _in_thread(stop, b"".join, _until(stop, chunks))
        try:
            _, names = await asyncio.to_thread(_facts, archive)
        except (tarfile.TarError, KeyError, ValueError) as exc:
            raise EngineRefusedError(f"The image could not be loaded: {exc}") from exc
        self.images |= dict.fromkeys(names, archive)
        self._ever_loaded.append(archive)

    async def inspect(self, reference: str) -> ImageFacts | None:
        await self._called("inspect")
        archive = self.images.get(reference)
        return self._built.get(reference) if archive is None else (await asyncio.to_thread(_facts, archive))[0]

    async def tag(self, image_id: str, reference: str) -> None:
        await self._called("tag")
        for archive in list(self.images.values()):
            if (await asyncio.to_thread(_facts, archive))[0].image_id == image_id:
                self.images[reference] = archive
                return
        raise EngineRefusedError(f"no such image: {image_id}")

    async def untag(self, reference: str) -> None:
        await self._called("untag")
        self.images.pop(reference, None)

    async def references(self, repository: str) -> tuple[str, ...]:
        await self._called("references")
        return tuple(name for name in self.images if name.rpartition(":")[0] == repository)

    @property
    def containers(self) -> dict[str, tuple[str, dict[str, str]]]:
        """What was run: the image's id and the labels, by the container's name."""
        found = self.runtime.containers.values()
        return {one.facts.name: (one.spec.image_id, dict(one.spec.labels)) for one in found if one.spec is not None}

    async def close(self) -> None:
        self.calls.append("close")

    async def _before(self, method: str) -> None:
        if method == "create":
            await self._called("run")

    async def _after(self, method: str) -> None:
        pass

    async def _called(self, method: str, *, noted: bool = True) -> None:
        if noted:
            self.calls.append(method)
            await self.hold.wait()
        if failures := self._failures.get(method):
            raise failures.pop(0)

    def failures_left(self, method: str) -> int:
        """Count how often a method will still fail."""
        return len(self._failures.get(method, ()))

    def _chunks(self, archive: bytes, stop: threading.Event) -> Iterator[bytes]:
        for start in range(0, len(archive), self._chunk_bytes):
            if stop.is_set() or (self.cut_after_bytes is not None and start >= self.cut_after_bytes):
                raise EngineUnavailableError("the export broke off")
            yield archive[start : start + self._chunk_bytes]


def _until(stop: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stop.is_set():
            return
        yield chunk


async def _in_thread(stop: threading.Event, work: Callable[[Iterator[bytes]], T], chunks: Iterator[bytes]) -> T:
    """Run in a thread that has ended when this comes back, as the port demands."""
    task = asyncio.ensure_future(asyncio.to_thread(work, chunks))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((task,))
        task.exception()
        raise


class RealEngine:
    """The engine that the tests run against, and what they leave in it.

    Attributes:
        api: docker-py's low-level client, to look at what ours has done.
        docker_host: Where it is; None for the local socket.
        base_image: An image with a shell.
    """

    def __init__(self, api: docker.APIClient, base_image: str) -> None:
        self.api = api
        self.docker_host = os.environ.get("DOCKER_HOST") or None
        self.base_image = base_image
        self._images: list[str] = []
        self._containers: list[str] = []

    def new_name(self) -> str:
        """Make a name that nobody else has, for an image or a container."""
        return f"deployment-sender-test-{uuid.uuid4().hex[:12]}"

    def new_image(self) -> str:
        """Make such a `name:tag`, and remove the image later."""
        return self.remove_later(f"{self.new_name()}:1.0")

    def remove_later(self, reference: str) -> str:
        """Remove an image, and every container of it, after the test."""
        self._images.append(reference)
        return reference

    def new_container(self) -> str:
        """Make such a name, and remove the container later."""
        self._containers.append(self.new_name())
        return self._containers[-1]

    def remove(self) -> None:
        """Remove what the test has left."""
        left: list[dict[str, Any]] = []
        for filters in [{"ancestor": name} for name in self._images] + [{"name": name} for name in self._containers]:
            left += self.api.containers(all=True, filters=filters)
        for container_id in {container["Id"] for container in left}:
            with suppress(NotFound):
                self.api.remove_container(container_id, force=True)
        for reference in self._images:
            with suppress(APIError):
                self.api.remove_image(reference, force=True)
            # Built again under the same name, an image has lost it.
            for image in self.api.images(filters={"dangling": True, "label": f"test={reference}"}):
                with suppress(APIError):
                    self.api.remove_image(image["Id"], force=True)


@pytest.fixture(scope="session")
def docker_api() -> Iterator[docker.APIClient]:
    """A client of the real engine, or a failure that says that there is none."""
    host = os.environ.get("DOCKER_HOST") or None
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=60)
    except DockerException as exc:
        pytest.fail(f"no Docker Engine answers at {host or 'unix:///var/run/docker.sock'}: {exc}", pytrace=False)
    yield api
    api.close()


@pytest.fixture(scope="session")
def base_image(docker_api: docker.APIClient) -> str:
    """An image with a shell: DEPLOYMENT_SENDER_BASE_IMAGE, busybox, or one made of Debian's busybox-static."""
    told = os.environ.get("DEPLOYMENT_SENDER_BASE_IMAGE")
    for name in filter(None, (told, _PULLED, _IMPORTED)):
        with suppress(NotFound):
            docker_api.inspect_image(name)  # type: ignore[no-untyped-call]
            return name
    repository, tag = _IMPORTED.split(":")
    docker_api.import_image_from_data(_root_filesystem(), repository, tag, changes=["ENV PATH=/bin", 'CMD ["sh"]'])
    return _IMPORTED


def _root_filesystem() -> bytes:
    busybox = Path("/bin/busybox")
    if not busybox.is_file():
        pytest.fail("no base image: set DEPLOYMENT_SENDER_BASE_IMAGE, or install busybox-static", pytrace=False)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for applet in (
            "cat",
            "chown",
            "dd",
            "echo",
            "false",
            "head",
            "id",
            "ls",
            "printf",
            "sh",
            "sleep",
            "tail",
            "test",
            "touch",
            "true",
            "yes",
        ):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


@pytest.fixture
def real_engine(docker_api: docker.APIClient, base_image: str) -> Iterator[RealEngine]:
    """The real engine; what was named through it is gone after the test."""
    engine = RealEngine(docker_api, base_image)
    yield engine
    engine.remove()
