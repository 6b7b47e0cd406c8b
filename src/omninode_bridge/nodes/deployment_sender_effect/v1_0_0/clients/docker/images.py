"""An engine's images and their names: `docker save`, `load`, `image inspect`, `tag`, `rmi --no-prune`, `info`."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from docker.errors import DockerException, NotFound

from ...errors import EngineRefusedError, EngineUnavailableError, OperationError
from ...models.reference import split_tag
from ...ports import EngineInfo, ImageFacts
from .build_log import record_error
from .call import Call
from .connection import connected_client, required_field
from .endpoint import PODMAN, Endpoint
from .errors import engine_errors, refusal
from .platform import engine_platform, image_store

__all__ = ["engine_info", "export_image", "image_references", "inspect_image", "load_image", "tag_image", "untag_image"]

T = TypeVar("T")

# 1 MiB: large enough that the cost per chunk does not count. 1 MiB reads gave 1.7 GB/s, docker-py's 32 KB 1.25 GB/s.
_CHUNK_BYTES = 1 << 20
# 8 KiB: the end of an archive that is kept, to find an error that the engine appends; longer than any error record.
_TAIL_BYTES = 8 << 10
# POSIX.1-2017, pax: "At the end of the archive file there shall be two 512-octet logical records filled with zeros".
_END_OF_ARCHIVE = bytes(1024)
# Podman 4.3 lists a name without a registry with the first prefix if it was loaded, with the second if it was given by
# `tag`; it accepts the short name for both.
_PODMAN_PREFIXES = ("localhost/", "docker.io/library/")
_ERROR_START = b'{"errorDetail"'


def export_image(
    endpoint: Endpoint, call: Call, reference: str, consume: Callable[[Iterator[bytes]], T], silence_seconds: float
) -> T:
    """Pass the archive of an image to `consume`, in a thread, and return its result.

    Args:
        endpoint: Where the engine is.
        call: Aborts the export.
        reference: Name or id.
        consume: Reads the chunks; what it raises is raised here.
        silence_seconds: How long the engine may send nothing, before the first byte and between two.

    Raises:
        EngineRefusedError: There is no such image, or the engine cannot export it.
        EngineUnavailableError: The engine does not respond, or the archive is cut short.
    """
    task = f"The image {reference} could not be exported"
    with connected_client(endpoint, call, silence_seconds, without_chunks=True) as client:
        with engine_errors(endpoint.engine, task):
            try:
                response = client.request_export(reference)
            except NotFound as exc:
                raise EngineRefusedError(f"{task}: no such image") from exc
        return consume(_chunks(endpoint.engine, task, response.raw))


def _chunks(engine: str, task: str, stream: Any) -> Iterator[bytes]:
    """Read an archive, and check that its end is there."""
    tail = b""
    while True:
        with engine_errors(engine, task):
            chunk = stream.read(_CHUNK_BYTES)
        if not chunk:
            break
        tail = (tail + chunk if len(chunk) < _TAIL_BYTES else chunk)[-_TAIL_BYTES:]
        yield chunk
    if not tail.endswith(_END_OF_ARCHIVE):
        raise _cut_short(engine, task, tail)


def _cut_short(engine: str, task: str, tail: bytes) -> OperationError:
    """Return the error for a response that ended normally without a whole archive.

    An engine that fails after the first byte appends its error to the archive and ends the response as usual
    (github.com/moby/moby, api/server/router/image/image_routes.go, getImagesGet).
    """
    start = tail.rfind(_ERROR_START)
    try:
        error = record_error(json.loads(tail[start:])) if start >= 0 else None
    except ValueError:
        error = None
    if error is not None:
        return refusal(engine, task, error, EngineRefusedError)
    return EngineUnavailableError(f"{task}: the archive from the {engine} ends too early")


def load_image(endpoint: Endpoint, call: Call, chunks: Iterator[bytes]) -> None:
    """Send an archive to the engine, in a thread.

    Args:
        endpoint: Where the engine is.
        call: Aborts the load.
        chunks: The archive; what it raises is raised here.

    Raises:
        EngineRefusedError: With the engine's own message.
        EngineUnavailableError: The engine does not respond.
    """
    task = "The image could not be loaded"
    body = _ArchiveBody(call, chunks)
    with connected_client(endpoint, call) as client:
        try:
            with engine_errors(endpoint.engine, task):
                # Quiet: the response is not read before all is sent, and a long one would block both sides.
                errors = [record_error(record) for record in client.load_image(body, quiet=True)]  # type: ignore[no-untyped-call]
        except _ChunksError as exc:
            raise exc.reason from None
    if error := next(filter(None, errors), None):
        raise refusal(endpoint.engine, task, error, EngineRefusedError)


class _ChunksError(Exception):
    """The chunks could not be read; an OSError of theirs would pass for the connection's."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _ArchiveBody:
    """The archive's chunks, as the body of a request."""

    def __init__(self, call: Call, chunks: Iterator[bytes]) -> None:
        self._call = call
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks:
                self._call.raise_if_aborted()
                yield chunk
        except Exception as exc:
            raise _ChunksError(exc) from exc


def inspect_image(endpoint: Endpoint, call: Call, reference: str) -> ImageFacts | None:
    """Return what the engine knows of an image, in a thread; None if it has none of that name or id.

    Raises:
        EngineUnavailableError: The engine does not respond, or not with what an engine returns.
    """
    task = f"The {endpoint.engine} did not describe the image {reference}"
    with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task, EngineUnavailableError):
        try:
            image = client.describe_image(reference)
        except NotFound:
            return None
        layers = required_field(image, "RootFS").get("Layers") or ()  # none: FROM scratch with nothing added
        return ImageFacts(
            image_id=str(required_field(image, "Id")),
            diff_ids=tuple(layers),
            os=str(image.get("Os") or ""),
            architecture=str(image.get("Architecture") or ""),
            variant=str(image.get("Variant") or ""),
        )


def tag_image(endpoint: Endpoint, call: Call, image_id: str, reference: str) -> None:
    """Give an image a further `name:tag`, in a thread.

    Raises:
        EngineRefusedError: There is no such image, or the engine does not allow that name.
        EngineUnavailableError: The engine does not respond.
    """
    task = f"The image {image_id} could not be named {reference}"
    repository, tag = split_tag(reference)
    with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task):
        client.tag(image_id, repository, tag)


def untag_image(endpoint: Endpoint, call: Call, reference: str) -> None:
    """Remove a `name:tag`, and the image with its last one, in a thread; do nothing if there is none.

    Raises:
        EngineRefusedError: A container uses the image, for example.
        EngineUnavailableError: The engine does not respond.
    """
    task = f"The name {reference} could not be removed"
    with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task), suppress(NotFound):
        # Without pruning: the untagged images that it was built from are the build cache.
        client.remove_image(reference, noprune=True)


def image_references(endpoint: Endpoint, call: Call, repository: str) -> tuple[str, ...]:
    """Return every `name:tag` of a repository, in a thread.

    Raises:
        EngineUnavailableError: The engine does not respond, or not with what an engine returns.
    """
    task = f"The {endpoint.engine} did not list its images"
    with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task, EngineUnavailableError):
        images = client.images(filters={"reference": repository})
        if not isinstance(images, list):
            raise DockerException("its response is not a list of images")
        names = [str(name) for image in images for name in required_field(image, "RepoTags") or ()]
    spellings = {repository}
    if endpoint.name == PODMAN:
        spellings |= {prefix + repository for prefix in _PODMAN_PREFIXES}
    found = (split_tag(name) for name in names)
    return tuple(dict.fromkeys(f"{repository}:{tag}" for name, tag in found if name in spellings))


def engine_info(endpoint: Endpoint, call: Call) -> EngineInfo:
    """Return the engine's version, image store and platform, in a thread.

    Raises:
        EngineUnavailableError: The engine does not respond, or not with what an engine returns.
    """
    task = f"The {endpoint.engine} did not describe itself"
    with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task, EngineUnavailableError):
        info = client.info()
        return EngineInfo(
            version=str(required_field(info, "ServerVersion")),
            storage_driver=str(required_field(info, "Driver")),
            data_folder=str(required_field(info, "DockerRootDir")),
            name=endpoint.name,
            image_store=image_store(info),
            **engine_platform(info),
        )
