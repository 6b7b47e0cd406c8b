"""Builds an image through the classic builder's API."""

import os
import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

from ...dockerfile.classic_builder import platform_arguments, unsupported
from ...dockerfile.parser import Dockerfile
from ...errors import BuildError, OperationError
from ...models.platform import Platform
from ...ports import BuildRequest
from .build_log import BuildLog
from .call import Call
from .connection import EngineClient, connected_client, required_field
from .context import open_spool_file, pack_context
from .credentials import credentials_for
from .endpoint import Endpoint
from .errors import engine_errors, refusal, reworded
from .redact import Redactor
from .registries import registries_in

__all__ = ["build_image"]

# Each attempt gets past at least one removed image; several in a row take another process that keeps removing them.
_ATTEMPTS = 5
_MAX_LISTED = 5  # features of one Dockerfile in one message, which a person still reads
# github.com/moby/moby, image/cache/cache.go, getLocalCachedImage: the engine lists the images of its build cache, then
# opens each, and fails the build if one of them was removed in between.
_CACHE_IMAGE_REMOVED = re.compile(r'unable to find image "sha256:[0-9a-f]{64}"')
_BUILDING_AGAIN = "An image in the build cache was removed during the build; building again."


def build_image(endpoint: Endpoint, call: Call, request: BuildRequest, on_line: Callable[[str], None]) -> str:
    """Build an image, in a thread.

    Args:
        endpoint: Where the engine is.
        call: Aborts the build.
        request: What to build.
        on_line: Called with each line of the log, without the build arguments' values.

    Returns:
        The engine's id of the image.

    Raises:
        BuildError, StorageError, EngineUnavailableError: They have no cause and no context: those hold the URL with
            every build argument.
    """
    with connected_client(endpoint, call) as client:
        build_args = client.proxy_args() | dict(request.build_args)
        redact = Redactor(build_args.values())
        try:
            with open_spool_file() as context:
                dockerfile = Dockerfile(pack_context(call, request.context, request.dockerfile, context))
                _require_supported_features(dockerfile, request)
                registries, seconds = registries_in(dockerfile, build_args), endpoint.helper_timeout_seconds
                client.set_credentials(
                    credentials_for(call, client.config, registries, seconds, lambda it: on_line(f"Warning: {it}"))
                )
                build_args = _platform_arguments(client, dockerfile, request) | build_args
                return _build(client, request, build_args, context, lambda: BuildLog(redact, on_line))
        except OperationError as exc:
            error = reworded(exc, redact(exc.message))
    raise error


def _build(
    client: EngineClient,
    request: BuildRequest,
    build_args: Mapping[str, str],
    context: BinaryIO,
    new_log: Callable[[], BuildLog],
) -> str:
    task = _task(request)
    attempts, log = 1, _run_build(new_log(), client, request, build_args, context)
    while attempts < _ATTEMPTS and log.error is not None and _CACHE_IMAGE_REMOVED.fullmatch(log.error):
        log.add({"status": _BUILDING_AGAIN})
        attempts, log = attempts + 1, _run_build(new_log(), client, request, build_args, context)
    if log.error is not None:
        raise refusal(client.engine, task, log.error, BuildError)
    if not log.finished:
        raise BuildError(f"{task}: the engine's log ends without an image")
    return log.image_id or _image_id(client, request.reference, task)


def _task(request: BuildRequest) -> str:
    return f"The image {request.reference} could not be built"


def _require_supported_features(dockerfile: Dockerfile, request: BuildRequest) -> None:
    """Raise for features that the classic builder would ignore while it reports success."""
    if found := unsupported(dockerfile, request.target):
        listed = "; ".join(f"line {one.line}: {one.feature}" for one in found[:_MAX_LISTED])
        more = f"; and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
        raise BuildError(
            f"{request.dockerfile} uses features of BuildKit, and this node builds with the engine's classic builder,"
            f" which would ignore them: {listed}{more}",
            recovery="Change "
            + "; ".join(dict.fromkeys(f"{one.feature}: {one.instead}" for one in found[:_MAX_LISTED]))
            + ". Nothing was sent to the engine.",
        )


def _platform_arguments(client: EngineClient, dockerfile: Dockerfile, request: BuildRequest) -> dict[str, str]:
    """Return the arguments that BuildKit sets by itself; the classic builder would leave them empty."""
    names = platform_arguments(dockerfile)
    if not names:
        return {}
    with engine_errors(client.engine, _task(request), BuildError):
        version = client.version()
        native = Platform.of(str(required_field(version, "Os")), str(required_field(version, "Arch")))
    wanted = Platform.parse(request.platform or "")
    target = Platform(wanted.os or native.os, wanted.architecture or native.architecture, wanted.variant)
    known = {
        f"{side}{part}": value
        for side, platform in (("BUILD", native), ("TARGET", target))
        for part, value in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }
    return {name: known[name] for name in names}


def _run_build(
    log: BuildLog, client: EngineClient, request: BuildRequest, build_args: Mapping[str, str], context: BinaryIO
) -> BuildLog:
    """Have the engine build from a packed context, which stays open for another attempt; return the filled log."""
    context.seek(0)
    with (
        os.fdopen(os.dup(context.fileno()), "rb", buffering=0) as body,  # docker-py closes the file that it has sent
        engine_errors(client.engine, _task(request), BuildError),
    ):
        for record in client.build(
            fileobj=body,
            custom_context=True,
            dockerfile=request.dockerfile,
            tag=request.reference,
            buildargs=dict(build_args),
            target=request.target,
            platform=request.platform,
            labels=dict(request.labels),
            nocache=request.no_cache,
            rm=True,
            forcerm=True,
            decode=True,
            use_config_proxy=False,  # the proxies are among build_args, so that the log shows no password of theirs
        ):
            log.add(record)
    log.flush()
    return log


def _image_id(client: EngineClient, reference: str, task: str) -> str:
    with engine_errors(client.engine, task, BuildError):
        return str(required_field(client.describe_image(reference), "Id"))
