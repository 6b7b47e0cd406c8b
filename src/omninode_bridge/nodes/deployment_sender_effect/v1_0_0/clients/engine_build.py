"""Builds an image through the classic builder's API."""

from collections.abc import Callable, Mapping

from ..errors import DeploymentSenderError, ErrorCode
from ..ports import BuildRequest
from .engine_call import Call
from .engine_connection import EngineClient, connected, member
from .engine_context import opened_spool, pack_context
from .engine_endpoint import Endpoint
from .engine_errors import translated
from .engine_log import BuildLog
from .engine_refusals import refused
from .engine_scrub import Scrubber

__all__ = ["build_image"]


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
        scrub = Scrubber(build_args.values())
        try:
            return _build(client, call, request, build_args, BuildLog(scrub, tell))
        except DeploymentSenderError as exc:
            message, code, recovery = exc.message, exc.code, exc.recovery
    raise DeploymentSenderError(code, scrub(message), recovery=recovery)


def _build(
    client: EngineClient, call: Call, request: BuildRequest, build_args: Mapping[str, str], log: BuildLog
) -> str:
    task = f"The image {request.reference} could not be built"
    with opened_spool() as context:
        pack_context(call, request.context, request.dockerfile, context)
        with translated(client.address, task):
            for record in client.build(
                fileobj=context,
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
    if log.error is not None:
        raise refused(client.address, task, log.error)
    if not log.finished:
        raise DeploymentSenderError(ErrorCode.BUILD_FAILED, f"{task}: the engine's log ends without an image")
    return log.image_id or _image_id(client, request.reference, task)


def _image_id(client: EngineClient, reference: str, task: str) -> str:
    with translated(client.address, task):
        return str(member(client.inspect_image(reference), "Id"))  # type: ignore[no-untyped-call]
