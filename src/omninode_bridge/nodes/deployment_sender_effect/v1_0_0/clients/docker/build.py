"""Builds an image through the classic builder's API."""

import os
import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

from ...dockerfile.classic_builder import platform_arguments, unsupported
from ...dockerfile.parser import Dockerfile
from ...errors import DeploymentSenderError, ErrorCode
from ...models.platform import Platform
from ...ports import BuildRequest
from .build_log import BuildLog
from .call import Call
from .connection import EngineClient, connected, member
from .context import opened_spool, pack_context
from .credentials import credentials_for
from .endpoint import Endpoint
from .errors import translated
from .redact import Redactor
from .refusals import refused
from .registries import registries_in

__all__ = ["build_image"]

_ATTEMPTS = 5
_LISTED = 5  # of what a Dockerfile asks for in vain
# github.com/moby/moby, image/cache/cache.go, getLocalCachedImage: the engine lists the images that a step could be
# taken from, then looks at each, and gives the build up if anybody has removed one of them in between.
_OVERTAKEN = re.compile(r'unable to find image "sha256:[0-9a-f]{64}"')
_AGAIN = "Somebody has removed an image while the engine looked for one to take this step from: building again."


def build_image(endpoint: Endpoint, call: Call, request: BuildRequest, tell: Callable[[str], None]) -> str:
    """Build, in a worker's thread.

    Args:
        endpoint: Where the engine is.
        call: Breaks it off.
        request: What to build.
        tell: Called with each line of the log, scrubbed.

    Returns:
        The engine's id of the image.

    Raises:
        DeploymentSenderError: BUILD_FAILED, DOCKER_UNAVAILABLE. It has no cause and no context: those hold the URL
            with every build argument.
    """
    with connected(endpoint, call) as client:
        build_args = client.proxy_args() | dict(request.build_args)
        scrub = Redactor(build_args.values())
        try:
            with opened_spool() as context:
                dockerfile = Dockerfile(pack_context(call, request.context, request.dockerfile, context))
                _insist_on_features(dockerfile, request)
                registries, seconds = registries_in(dockerfile, build_args), endpoint.helper_timeout_seconds
                client.sign_in(
                    credentials_for(call, client.config, registries, seconds, lambda it: tell(f"Warning: {it}"))
                )
                build_args = _platform_arguments(client, dockerfile, request) | build_args
                return _build(client, request, build_args, context, lambda: BuildLog(scrub, tell))
        except DeploymentSenderError as exc:
            message, code, recovery = exc.message, exc.code, exc.recovery
    raise DeploymentSenderError(code, scrub(message), recovery=recovery)


def _build(
    client: EngineClient,
    request: BuildRequest,
    build_args: Mapping[str, str],
    context: BinaryIO,
    new_log: Callable[[], BuildLog],
) -> str:
    task = f"The image {request.reference} could not be built"
    attempts, log = 1, _feed(new_log(), client, request, build_args, context)
    while attempts < _ATTEMPTS and log.error is not None and _OVERTAKEN.fullmatch(log.error):
        log.feed({"status": _AGAIN})
        attempts, log = attempts + 1, _feed(new_log(), client, request, build_args, context)
    if log.error is not None:
        raise refused(client.engine, task, log.error)
    if not log.finished:
        raise DeploymentSenderError(ErrorCode.BUILD_FAILED, f"{task}: the engine's log ends without an image")
    return log.image_id or _image_id(client, request.reference, task)


def _insist_on_features(dockerfile: Dockerfile, request: BuildRequest) -> None:
    """Refuse what the classic builder would pass over, and then call the build a success."""
    if found := unsupported(dockerfile, request.target):
        listed = "; ".join(f"line {one.line}: {one.feature}" for one in found[:_LISTED])
        more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"{request.dockerfile} asks for what only BuildKit does, and this node builds with the engine's classic"
            f" builder, which would not do it: {listed}{more}",
            recovery="Change "
            + "; ".join(dict.fromkeys(f"{one.feature}: {one.instead}" for one in found[:_LISTED]))
            + ". Nothing was sent to the engine.",
        )


def _platform_arguments(client: EngineClient, dockerfile: Dockerfile, request: BuildRequest) -> dict[str, str]:
    """Set what BuildKit sets by itself; the classic builder would leave it empty."""
    names = platform_arguments(dockerfile)
    if not names:
        return {}
    with translated(client.engine, f"The image {request.reference} could not be built"):
        version = client.version()
        own = Platform.of(str(member(version, "Os")), str(member(version, "Arch")))
    asked = Platform.parse(request.platform or "")
    target = Platform(asked.os or own.os, asked.architecture or own.architecture, asked.variant)
    known = {
        f"{side}{part}": value
        for side, platform in (("BUILD", own), ("TARGET", target))
        for part, value in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }
    return {name: known[name] for name in names}


def _feed(
    log: BuildLog, client: EngineClient, request: BuildRequest, build_args: Mapping[str, str], context: BinaryIO
) -> BuildLog:
    """Have the engine build from a packed context, which is left open for another time."""
    context.seek(0)
    with (
        open(os.dup(context.fileno()), "rb", buffering=0) as body,  # noqa: PTH123 - docker-py closes what it has sent
        translated(client.engine, f"The image {request.reference} could not be built"),
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
            use_config_proxy=False,  # they are among build_args, where they are scrubbed, too
        ):
            log.feed(record)
    log.finish()
    return log


def _image_id(client: EngineClient, reference: str, task: str) -> str:
    with translated(client.engine, task):
        return str(member(client.inspect_image(reference), "Id"))  # type: ignore[no-untyped-call]
