"""Checks a receiver before `ship` builds anything, so that what would fail at the end fails at the beginning."""

from ..errors import TransferError
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
    """Check that a receiver responds, accepts our key, and can do what will be requested of it.

    Args:
        settings: Key, time-outs, files for TLS, and which receivers are allowed.
        openers: Open the connection to the receiver.
        console: Shows a note if the receiver does not describe itself.
        build: The image to be built.
        transfer: The transfer to be made.

    Raises:
        InvalidInputError: The settings do not allow this receiver.
        ReceiverUnreachableError: No connection.
        TransferError: The receiver refuses, or cannot do what will be requested.
    """
    url = str(transfer.remote_receiver_url)
    targets = await openers.targets(
        settings.model_copy(update={"idle_timeout_seconds": settings.connect_timeout_seconds})
    )
    try:
        target = targets.open(url)
        await target.check()
        info = await target.info()
    finally:
        await targets.close()
    if info is None:
        console.note(f"{url} does not describe itself: an older receiver, one of another make, or a wrong address")
        return
    _require_abilities(info, build.platform, transfer)


def _require_abilities(info: ReceiverInfo, platform: str | None, transfer: ModelPackageTransferInput) -> None:
    if info.engine is None:
        raise _failed(
            f"the receiver's engine does not respond: {info.engine_error or 'the receiver gives no reason'}",
            "Start the engine on the receiver's machine, then ship again.",
        )
    if transfer.wait_for == "running" and not info.will_run:
        raise _failed(
            "this receiver starts no containers, so the deployment would never be running",
            "Start the receiver with --run, or ship with --wait-for loaded.",
        )
    engine = info.engine.platform
    if platform and engine and not transfer.any_platform and not can_run(platform, engine):
        raise _failed(
            f"the image is to be built for {platform}, and the receiver's engine runs {engine}",
            f"Build it with --platform {engine}, or ship it anyway with --any-platform.",
        )


def _failed(message: str, recovery: str) -> TransferError:
    return TransferError(f"{message}; nothing was built", recovery=recovery, retry=False)
