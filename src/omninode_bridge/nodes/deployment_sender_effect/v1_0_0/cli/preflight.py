"""What `ship` asks a receiver before it builds anything: what would fail at the end is told at the beginning."""

from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelContainerPackageInput, ModelPackageTransferInput
from ..models.platform import can_run
from ..ports import ReceiverInfo
from ..resources import Openers
from ..settings import DeploymentSenderSettings
from .console import Console

__all__ = ["preflight"]


async def preflight(
    settings: DeploymentSenderSettings,
    openers: Openers,
    console: Console,
    build: ModelContainerPackageInput,
    transfer: ModelPackageTransferInput,
) -> None:
    """Insist that a receiver is there, takes our key, and can do what will be asked of it.

    Args:
        settings: Key, time-outs, files for TLS, and who may be sent to.
        openers: Open the way to it.
        console: Told of a receiver that says nothing of itself.
        build: What is to be built.
        transfer: What is to be sent where.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR, REMOTE_UNREACHABLE or TRANSFER_FAILED.
    """
    url = str(transfer.remote_receiver_url)
    soon = settings.model_copy(update={"idle_timeout_seconds": settings.connect_timeout_seconds})
    uploader = await openers.uploader(soon)
    try:
        await uploader.check(url)
        info = await uploader.info(url)
    finally:
        await uploader.close()
    if info is None:
        console.note(f"{url} says nothing of itself: an older receiver, one of another make, or a wrong address")
        return
    _insist_on_engine(info, build.platform, transfer)


def _insist_on_engine(info: ReceiverInfo, platform: str | None, transfer: ModelPackageTransferInput) -> None:
    if info.engine is None:
        raise _failed(
            f"the receiver's engine does not answer: {info.engine_error or 'the receiver does not say why'}",
            "Start the engine on the receiver's machine, then ship again.",
        )
    if transfer.wait_for == "running" and not info.will_run:
        raise _failed(
            "this receiver starts no containers, so that nothing would ever be running",
            "Start the receiver with --run, or ship with --wait-for loaded.",
        )
    engine = info.engine.platform
    if platform and engine and not transfer.any_platform and not can_run(platform, engine):
        raise _failed(
            f"the image is to be built for {platform}, and the receiver's engine runs {engine}",
            f"Build it with --platform {engine}, or ship it all the same with --any-platform.",
        )


def _failed(message: str, recovery: str) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED, f"{message}; nothing was built", recovery=recovery, retry=False
    )
