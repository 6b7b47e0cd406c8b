"""The Docker Engine, through docker-py's low-level client in threads of its own.

Nothing of docker-py is imported before the first call, and then in a worker's thread: it takes a quarter of a second.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from ...errors import DeploymentSenderError, EngineUnavailableError, ErrorCode
from ...ports import BuildRequest, EngineInfo, ImageFacts
from .call import Call, EngineThreads
from .endpoint import Endpoint
from .log_relay import LogRelay
from .refusals import about_space
from .runtime import DockerRuntime

__all__ = ["DockerEngine", "EngineOptions", "open_engine"]

T = TypeVar("T")


class EngineOptions(TypedDict, total=False):
    """The arguments of `DockerEngine`."""

    docker_host: str | None
    tls_verify: bool
    cert_path: Path | None
    config_path: Path | None
    connect_timeout_seconds: float
    answer_timeout_seconds: float
    build_timeout_seconds: float
    export_silence_timeout_seconds: float
    load_timeout_seconds: float
    helper_timeout_seconds: float


async def open_engine(**options: Unpack[EngineOptions]) -> "DockerEngine":
    """Connect to an engine and have it answer.

    Args:
        **options: Those of `DockerEngine`.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE, within `connect_timeout_seconds`; nothing is left open then.
    """
    engine = DockerEngine(**options)
    try:
        await engine.ping()
    except BaseException:
        await engine.close()
        raise
    return engine


class DockerEngine:
    """Implements `ImageEngine` (`ports/`). Making one touches nothing.

    Each call has connections of its own, so that breaking it off disturbs no other; each begins with a question that
    the engine must answer within `connect_timeout_seconds`, and speaks the API version that the engine names.

    Args:
        docker_host: `unix://PATH`, `tcp://HOST[:PORT]`, `ssh://[USER@]HOST[:PORT][/PATH]` (through this machine's own
            `ssh` program); the local socket if None.
        tls_verify: Speak TLS to a `tcp://` engine and verify it.
        cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem`; `config_path` if None.
        config_path: Folder of the docker command's `config.json`, with credentials for registries and with proxies;
            `~/.docker` if None.
        connect_timeout_seconds: For a connection and its first answer.
        answer_timeout_seconds: For `info`, `inspect` and each call about containers.
        build_timeout_seconds: For a whole build.
        export_silence_timeout_seconds: How long an export may say nothing: `docker save` of 1.5 GB was silent for 10 s
            before its first byte (Docker 20.10).
        load_timeout_seconds: For a whole load.
        helper_timeout_seconds: For a credential helper of the docker command to answer. One may have to ask somebody
            for a token, which takes some seconds; one that asks a person must not hold a build for ever.

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
        answer_timeout_seconds: float = 60,
        build_timeout_seconds: float = 1800,
        export_silence_timeout_seconds: float = 600,
        load_timeout_seconds: float = 1800,
        helper_timeout_seconds: float = 30,
    ) -> None:
        self._endpoint = Endpoint(
            docker_host, tls_verify, cert_path, connect_timeout_seconds, config_path, helper_timeout_seconds
        )
        self._answer_seconds = answer_timeout_seconds
        self._build_seconds = build_timeout_seconds
        self._silence_seconds = export_silence_timeout_seconds
        self._load_seconds = load_timeout_seconds
        self._workers = EngineThreads()
        self.runtime = DockerRuntime(self._endpoint, self._run, answer_timeout_seconds)

    async def ping(self) -> None:
        """See that the engine answers. DOCKER_UNAVAILABLE."""

        def work(call: Call) -> None:
            from .connection import connected  # noqa: PLC0415 - in the worker's thread, as all of docker-py

            with connected(self._endpoint, call):
                pass

        await self._run(work, self._endpoint.connect_timeout_seconds)

    async def info(self) -> EngineInfo:
        """Tell which engine answers. DOCKER_UNAVAILABLE."""

        def work(call: Call) -> EngineInfo:
            from .images import engine_info  # noqa: PLC0415

            return engine_info(self._endpoint, call)

        return await self._run(work, self._answer_seconds)

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        """Build and tag an image.

        Args:
            request: What to build.
            on_line: Told each line of the log on the loop's thread, scrubbed of the build arguments' values.

        Returns:
            The engine's id of the image.

        Raises:
            DeploymentSenderError: BUILD_FAILED with the end of the log, DOCKER_UNAVAILABLE.
        """

        def work(call: Call) -> str:
            from .build import build_image  # noqa: PLC0415

            return build_image(self._endpoint, call, request, pump.put)

        call = Call()
        pump = LogRelay(on_line, call)
        try:
            image_id = await self._run(work, self._build_seconds, call, lambda: self._build_too_late(request, pump))
        except asyncio.CancelledError:
            pump.stop()
            raise
        except DeploymentSenderError as exc:
            pump.finish()
            raise _with_tail(exc, pump.tail()) from None
        pump.finish()
        return image_id

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        """Run `consume` in a worker's thread over the archive of an image.

        Args:
            reference: Name or id.
            consume: Given chunks of up to 1 MiB; what it raises passes through.

        Raises:
            DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE, and so for `consume` when its chunks end early.
        """

        def work(call: Call) -> T:
            from .images import export_image  # noqa: PLC0415

            return export_image(self._endpoint, call, reference, consume, self._silence_seconds)

        return await self._run(work, None)

    async def load(self, chunks: Iterator[bytes]) -> None:
        """Feed an uncompressed image archive to the engine.

        An engine that has read the whole archive before this is broken off goes on and loads it (seen with Docker
        20.10 and 28.5, both image stores): there is no way to stop it then.

        Args:
            chunks: Read in a worker's thread; what it raises passes through.

        Raises:
            DeploymentSenderError: BUILD_FAILED with the engine's own words, DOCKER_UNAVAILABLE.
        """

        def work(call: Call) -> None:
            from .images import load_image  # noqa: PLC0415

            load_image(self._endpoint, call, chunks)

        await self._run(work, self._load_seconds)

    async def inspect(self, reference: str) -> ImageFacts | None:
        """Tell what the engine knows of an image; None if it has none of that name or id. DOCKER_UNAVAILABLE."""

        def work(call: Call) -> ImageFacts | None:
            from .images import inspect_image  # noqa: PLC0415

            return inspect_image(self._endpoint, call, reference)

        return await self._run(work, self._answer_seconds)

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a further `name:tag`, also if another image had it. BUILD_FAILED, DOCKER_UNAVAILABLE."""

        def work(call: Call) -> None:
            from .images import tag_image  # noqa: PLC0415

            tag_image(self._endpoint, call, image_id, reference)

        await self._run(work, self._answer_seconds)

    async def untag(self, reference: str) -> None:
        """Take a `name:tag` from its image, which goes with its last name. BUILD_FAILED, DOCKER_UNAVAILABLE."""

        def work(call: Call) -> None:
            from .images import untag_image  # noqa: PLC0415

            untag_image(self._endpoint, call, reference)

        await self._run(work, self._answer_seconds)

    async def references(self, repository: str) -> tuple[str, ...]:
        """List every `name:tag` whose name is `repository`. DOCKER_UNAVAILABLE."""

        def work(call: Call) -> tuple[str, ...]:
            from .images import image_references  # noqa: PLC0415

            return image_references(self._endpoint, call, repository)

        return await self._run(work, self._answer_seconds)

    async def close(self) -> None:
        """Break off what runs, close every connection and end every thread; twice is safe."""
        await self._workers.close()

    async def _run(
        self,
        work: Callable[[Call], T],
        seconds: float | None,
        call: Call | None = None,
        too_late: Callable[[], DeploymentSenderError] | None = None,
    ) -> T:
        call = call or Call()
        return await self._workers.run(call, partial(work, call), seconds, too_late or (lambda: self._silent(seconds)))

    def _silent(self, seconds: float | None) -> DeploymentSenderError:
        return EngineUnavailableError(
            f"The {self._endpoint.engine} has not done what it was asked for within {seconds:g} s.",
        )

    def _build_too_late(self, request: BuildRequest, pump: LogRelay) -> DeploymentSenderError:
        if not pump.tail():
            return self._silent(self._build_seconds)
        return DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"The image {request.reference} could not be built within {self._build_seconds:g} s",
            recovery="See in the log's tail which step takes so long, or raise build_timeout_seconds.",
        )


def _with_tail(error: DeploymentSenderError, tail: str) -> DeploymentSenderError:
    if error.code is not ErrorCode.BUILD_FAILED or not tail:
        return error
    message = f"{error.message}\nThe end of its log:{tail}"
    return DeploymentSenderError(error.code, message, recovery=about_space(tail) or error.recovery)
