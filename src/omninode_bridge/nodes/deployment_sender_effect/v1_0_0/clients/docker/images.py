"""Images in and out of an engine, and their names: `docker save`, `load`, `image inspect`, `tag`, `rmi --no-prune`."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from docker.errors import DockerException, NotFound

from ...errors import DeploymentSenderError, EngineRefusedError, EngineUnavailableError, ErrorCode
from ...models.reference import split_tag
from ...ports import EngineInfo, ImageFacts
from .build_log import error_in
from .call import Call
from .connection import connected, member
from .endpoint import Endpoint
from .errors import translated
from .platform import engine_platform, image_store
from .refusals import refused

__all__ = ["engine_info", "export_image", "image_references", "inspect_image", "load_image", "tag_image", "untag_image"]

T = TypeVar("T")

# Large enough that the cost per chunk does not count: 1 MiB reads gave 1.7 GB/s, docker-py's 32 KB ones 1.25 GB/s.
_CHUNK_BYTES = 1_048_576
_TAIL_BYTES = 8192
# POSIX.1-2017, pax: "At the end of the archive file there shall be two 512-octet logical records filled with zeros".
_END_OF_ARCHIVE = bytes(1024)
_ERROR_BEGINS = b'{"errorDetail"'


def export_image(
    endpoint: Endpoint, call: Call, reference: str, consume: Callable[[Iterator[bytes]], T], silence_seconds: float
) -> T:
    """Hand the archive of an image to `consume`, in a worker's thread; answer what it answers.

    Args:
        endpoint: Where the engine is.
        call: Breaks it off.
        reference: Name or id.
        consume: Reads the chunks; what it raises passes through.
        silence_seconds: How long the engine may say nothing, before the first byte and between two.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    task = f"The image {reference} could not be exported"
    with connected(endpoint, call, silence_seconds, without_chunks=True) as client:
        with translated(endpoint.engine, task):
            try:
                response = client.open_export(reference)
            except NotFound as exc:
                raise EngineRefusedError(f"{task}: no such image") from exc
        return consume(_chunks(endpoint.engine, task, response.raw))


def _chunks(engine: str, task: str, stream: Any) -> Iterator[bytes]:
    """Read to the end, and see that it is one."""
    tail = b""
    while True:
        with translated(engine, task):
            chunk = stream.read(_CHUNK_BYTES)
        if not chunk:
            break
        tail = (tail + chunk if len(chunk) < _TAIL_BYTES else chunk)[-_TAIL_BYTES:]
        yield chunk
    if not tail.endswith(_END_OF_ARCHIVE):
        raise _cut_short(engine, task, tail)


def _cut_short(engine: str, task: str, tail: bytes) -> DeploymentSenderError:
    """Tell why a stream that ended in good order is no whole archive.

    An engine that fails after the first byte appends its error to the archive and ends the answer as if all were
    well (github.com/moby/moby, api/server/router/image/image_routes.go, getImagesGet).
    """
    begin = tail.rfind(_ERROR_BEGINS)
    try:
        error = error_in(json.loads(tail[begin:])) if begin >= 0 else None
    except ValueError:
        error = None
    if error is not None:
        return refused(engine, task, error)
    return EngineUnavailableError(f"{task}: the archive from the {engine} ends too early")


def load_image(endpoint: Endpoint, call: Call, chunks: Iterator[bytes]) -> None:
    """Feed an archive to the engine, in a worker's thread.

    Args:
        endpoint: Where the engine is.
        call: Breaks it off.
        chunks: The archive; what it raises passes through.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    task = "The image could not be loaded"
    source = _Source(call, chunks)
    with connected(endpoint, call) as client:
        try:
            with translated(endpoint.engine, task):
                # Quiet: nobody reads the answer before all is sent, and a long one would block both sides.
                errors = [error_in(record) for record in client.load_image(source, quiet=True)]  # type: ignore[no-untyped-call]
        except _SourceError:
            assert source.failure is not None  # noqa: S101 - it is what was raised
            raise source.failure from None
    if error := next(filter(None, errors), None):
        raise refused(endpoint.engine, task, error)


class _SourceError(Exception):
    """The chunks could not be read. An OSError would pass for the connection's."""


class _Source:
    """The archive's chunks, as a request's body."""

    def __init__(self, call: Call, chunks: Iterator[bytes]) -> None:
        self._call = call
        self._chunks = chunks
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks:
                self._call.check()
                yield chunk
        except Exception as exc:
            self.failure = exc
            raise _SourceError from exc


def inspect_image(endpoint: Endpoint, call: Call, reference: str) -> ImageFacts | None:
    """Tell what the engine knows of an image, in a worker's thread; None if it has none of that name or id.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The {endpoint.engine} does not tell about {reference}"
    with connected(endpoint, call) as client, translated(endpoint.engine, task, ErrorCode.DOCKER_UNAVAILABLE):
        try:
            answer = client.inspect_image(reference)  # type: ignore[no-untyped-call]
        except NotFound:
            return None
        layers = member(answer, "RootFS").get("Layers") or ()  # none: FROM scratch with nothing added
        return ImageFacts(
            image_id=str(member(answer, "Id")),
            diff_ids=tuple(layers),
            os=str(answer.get("Os") or ""),
            architecture=str(answer.get("Architecture") or ""),
            variant=str(answer.get("Variant") or ""),
        )


def tag_image(endpoint: Endpoint, call: Call, image_id: str, reference: str) -> None:
    """Give an image a further `name:tag`, in a worker's thread.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    task = f"The image {image_id} could not be named {reference}"
    repository, tag = split_tag(reference)
    with connected(endpoint, call) as client, translated(endpoint.engine, task):
        client.tag(image_id, repository, tag)


def untag_image(endpoint: Endpoint, call: Call, reference: str) -> None:
    """Take a `name:tag` from its image, in a worker's thread; it is fine if there is none.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE.
    """
    task = f"The name {reference} could not be removed"
    with connected(endpoint, call) as client, translated(endpoint.engine, task), suppress(NotFound):
        # Without pruning: the untagged images that it was built from are somebody's cache.
        client.remove_image(reference, noprune=True)


def image_references(endpoint: Endpoint, call: Call, repository: str) -> tuple[str, ...]:
    """List every `name:tag` of a repository, in a worker's thread.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The {endpoint.engine} does not list its images"
    with connected(endpoint, call) as client, translated(endpoint.engine, task, ErrorCode.DOCKER_UNAVAILABLE):
        images = client.images(filters={"reference": repository})
        if not isinstance(images, list):
            raise DockerException("its answer is no list of images")
        names = [name for image in images for name in member(image, "RepoTags") or ()]
    return tuple(name for name in names if split_tag(str(name))[0] == repository)


def engine_info(endpoint: Endpoint, call: Call) -> EngineInfo:
    """Tell which engine answers, in a worker's thread.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The {endpoint.engine} does not tell about itself"
    with connected(endpoint, call) as client, translated(endpoint.engine, task, ErrorCode.DOCKER_UNAVAILABLE):
        answer = client.info()
        return EngineInfo(
            version=str(member(answer, "ServerVersion")),
            storage_driver=str(member(answer, "Driver")),
            data_folder=str(member(answer, "DockerRootDir")),
            name=endpoint.name,
            image_store=image_store(answer),
            **engine_platform(answer),
        )
