"""The Docker Engine, through docker-py's low-level client in threads of its own.

Importing this module takes a quarter of a second, most of it for docker-py: import it in a thread, and only where an
engine is opened.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict, TypeVar, TypeVarTuple, Unpack

from ...errors import BuildError, EngineUnavailableError, OperationError
from ...ports import BuildRequest, EngineInfo, ImageFacts
from .build import build_image
from .call import Call
from .connection import check_connection
from .endpoint import Endpoint
from .errors import full_disk_advice, reworded
from .images import (
    engine_info,
    export_image,
    image_references,
    inspect_image,
    load_image,
    tag_image,
    untag_image,
)
from .log_relay import LogRelay
from .runtime import DockerRuntime
from .threads import EngineThreads

__all__ = ["DockerEngine", "EngineOptions", "open_engine"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


class EngineOptions(TypedDict, total=False):
    """The arguments of `DockerEngine`."""

    docker_host: str | None
    tls_verify: bool
    cert_path: Path | None
    config_path: Path | None
    connect_timeout_seconds: float
    response_timeout_seconds: float
    build_timeout_seconds: float
    export_silence_timeout_seconds: float
    load_timeout_seconds: float
    helper_timeout_seconds: float


async def open_engine(**options: Unpack[EngineOptions]) -> "DockerEngine":
    """Connect to an engine and wait for its first response.

    Args:
        **options: Those of `DockerEngine`.

    Raises:
        EngineUnavailableError: Within `connect_timeout_seconds`; nothing is left open then.
    """
    engine = DockerEngine(**options)
    try:
        await engine.ping()
    except BaseException:
        await engine.close()
        raise
    return engine


class DockerEngine:
    """Implements `ContainerEngine` (`ports/`). The constructor opens nothing.

    Each call has connections of its own, so that aborting it disturbs no other. Each begins with a ping, to which the
    engine must respond within `connect_timeout_seconds`, and uses the API version that the response names.

    Args:
        docker_host: `unix://PATH`, `tcp://HOST[:PORT]`, `ssh://[USER@]HOST[:PORT][/PATH]` (through this machine's own
            `ssh` program); the local socket if None.
        tls_verify: Use TLS to a `tcp://` engine and verify its certificate.
        cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem`; `config_path` if None.
        config_path: Folder of the docker command's `config.json`, with credentials for registries and with proxies;
            `~/.docker` if None.
        connect_timeout_seconds: For a connection and its first response.
        response_timeout_seconds: For `info`, `inspect` and each call about containers.
        build_timeout_seconds: For a whole build.
        export_silence_timeout_seconds: How long an export may send nothing: `docker save` of 1.5 GB was silent for 10 s
            before its first byte (Docker 20.10).
        load_timeout_seconds: For a whole load.
        helper_timeout_seconds: For a credential helper of the docker command. One that requests a token from a server
            takes some seconds; one that waits for a person's input must not hold a build for ever.

    Attributes:
        runtime: Its containers.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that can be too slow, by keyword only
        self,
        *,
        docker_host: str | None = None,
        tls_verify: bool = False,
        cert_path: Path | None = None,
        config_path: Path | None = None,
        connect_timeout_seconds: float = 10,
        response_timeout_seconds: float = 60,
        build_timeout_seconds: float = 1800,
        export_silence_timeout_seconds: float = 600,
        load_timeout_seconds: float = 1800,
        helper_timeout_seconds: float = 30,
    ) -> None:
        self._endpoint = Endpoint(
            docker_host, tls_verify, cert_path, connect_timeout_seconds, config_path, helper_timeout_seconds
        )
        self._response_seconds = response_timeout_seconds
        self._build_seconds = build_timeout_seconds
        self._silence_seconds = export_silence_timeout_seconds
        self._load_seconds = load_timeout_seconds
        self._threads = EngineThreads()
        self.runtime = DockerRuntime(self._call, response_timeout_seconds)

    async def ping(self) -> None:
        """Check that the engine responds. EngineUnavailableError."""
        await self._call(check_connection, seconds=self._endpoint.connect_timeout_seconds)

    async def info(self) -> EngineInfo:
        """Return the engine's version, image store and platform. EngineUnavailableError."""
        return await self._call(engine_info, seconds=self._response_seconds)

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        """Build and tag an image.

        Args:
            request: What to build.
            on_line: Called on the loop's thread with each line of the log, without the build arguments' values.

        Returns:
            The engine's id of the image.

        Raises:
            BuildError: With the end of the log.
            StorageError: This machine's disk has no space for the packed context.
            EngineUnavailableError: The engine does not respond, or not in time.
        """
        call = Call()
        relay = LogRelay(on_line, call)
        work = partial(build_image, self._endpoint, call, request, relay.put)
        try:
            image_id = await self._threads.run(
                call, work, self._build_seconds, lambda: self._build_timed_out(request, relay)
            )
        except asyncio.CancelledError:
            relay.stop()
            raise
        except BuildError as exc:
            relay.finish()
            raise _with_tail(exc, relay.tail()) from None
        except OperationError:
            relay.finish()
            raise
        relay.finish()
        return image_id

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        """Call `consume` in a thread with the archive of an image, and return its result.

        Args:
            reference: Name or id.
            consume: Called with chunks of up to 1 MiB; what it raises is raised here.

        Raises:
            EngineRefusedError: There is no such image, for example. Raised from the chunks, too.
            EngineUnavailableError: The engine does not respond. Raised from the chunks, too, when they end early.
        """

        def work(endpoint: Endpoint, call: Call) -> T:
            return export_image(endpoint, call, reference, consume, self._silence_seconds)

        return await self._call(work, seconds=None)

    async def load(self, chunks: Iterator[bytes]) -> None:
        """Send an uncompressed image archive to the engine.

        An engine that has read the whole archive before the call is aborted goes on and loads it (seen with Docker
        20.10 and 28.5, both image stores): it cannot be stopped then.

        Args:
            chunks: Read in a thread; what it raises is raised here.

        Raises:
            EngineRefusedError: With the engine's own message.
            EngineUnavailableError: The engine does not respond.
        """
        await self._call(load_image, chunks, seconds=self._load_seconds)

    async def inspect(self, reference: str) -> ImageFacts | None:
        """Return what the engine knows of an image; None if it has none of that name or id. EngineUnavailableError."""
        return await self._call(inspect_image, reference, seconds=self._response_seconds)

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a further `name:tag`, which any other image loses. EngineRefusedError, ..."""
        await self._call(tag_image, image_id, reference, seconds=self._response_seconds)

    async def untag(self, reference: str) -> None:
        """Remove a `name:tag`, and the image with its last one. EngineRefusedError, EngineUnavailableError."""
        await self._call(untag_image, reference, seconds=self._response_seconds)

    async def references(self, repository: str) -> tuple[str, ...]:
        """Return every `name:tag` whose name is `repository`. EngineUnavailableError."""
        return await self._call(image_references, repository, seconds=self._response_seconds)

    async def close(self) -> None:
        """Abort what runs, close every connection and end every thread; twice is safe."""
        await self._threads.close()

    async def _call(self, function: Callable[[Endpoint, Call, *Args], T], *args: *Args, seconds: float | None) -> T:
        """Run a function on the engine in a thread."""
        call = Call()
        work = partial(function, self._endpoint, call, *args)
        return await self._threads.run(call, work, seconds, lambda: self._timed_out(seconds))

    def _timed_out(self, seconds: float | None) -> EngineUnavailableError:
        return EngineUnavailableError(f"The {self._endpoint.engine} has not completed the call within {seconds:g} s.")

    def _build_timed_out(self, request: BuildRequest, relay: LogRelay) -> OperationError:
        if not relay.tail():
            return self._timed_out(self._build_seconds)
        return BuildError(
            f"The image {request.reference} could not be built within {self._build_seconds:g} s",
            recovery="Find the step that takes so long at the end of the log, or raise build_timeout_seconds.",
        )


def _with_tail(error: BuildError, tail: str) -> BuildError:
    if not tail:
        return error
    return reworded(error, f"{error.message}\nThe end of its log:{tail}", full_disk_advice(tail))
