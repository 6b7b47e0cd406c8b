"""What happens to a package after its receiver took it: ask until it is as far as was wanted."""

import asyncio
from collections.abc import Callable

from ..errors import DeploymentSenderError, ErrorCode
from ..models import DeploymentStatus
from ..models.fields import WaitFor
from ..ports import DeploymentState, PackageUploader, Receipt
from .waiting import deadline

__all__ = ["Follower"]

_ORDER: tuple[DeploymentStatus, ...] = ("received", "loading", "loaded", "running")
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.5
_PATIENCE_SECONDS = 30.0  # a receiver that restarts answers again within it


class Follower:
    """Asks one receiver.

    Args:
        uploader: The way to it.
        receiver_url: Where the package was sent.
        on_status: Told every status that it tells.
    """

    def __init__(
        self, uploader: PackageUploader, receiver_url: str, on_status: Callable[[DeploymentStatus], None]
    ) -> None:
        self._uploader = uploader
        self._receiver_url = receiver_url
        self._on_status = on_status

    async def follow(self, receipt: Receipt, *, wait_for: WaitFor, seconds: float) -> None:
        """Wait until a deployment has the status that is wanted; be content where the receiver tells none.

        Args:
            receipt: What the receiver answered.
            wait_for: The status that is wanted; a later one will do.
            seconds: How long to wait at most.

        Raises:
            DeploymentSenderError: TRANSFER_FAILED when the deployment failed, will never be so far, or took too
                long; what the uploader raises when the receiver has not answered for half a minute.
        """
        status, pause = receipt.status, _FIRST_PAUSE_SECONDS
        if status == "failed" and receipt.status_url is None:
            raise _failed(DeploymentState(receipt.deployment_id, status))

        def late() -> DeploymentSenderError:
            return DeploymentSenderError(
                ErrorCode.TRANSFER_FAILED,
                f"the receiver took the package, but after {seconds:g} s the deployment is {status}, not {wait_for}",
                recovery="Ask the receiver for the deployment; raise deployment_timeout_seconds, or wait_for less.",
            )

        async with deadline(seconds, late):
            while receipt.status_url is not None and not _reached(status, wait_for):
                await asyncio.sleep(pause)
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
                state = await self._ask(receipt.status_url)
                status = state.status
                self._on_status(status)
                _check(state, wait_for)

    async def _ask(self, status_url: str) -> DeploymentState:
        """Ask once, and again for a while if the receiver does not answer."""
        import stamina  # noqa: PLC0415 - only transfers need it, and loaded it

        patiently = stamina.AsyncRetryingCaller(attempts=None, timeout=_PATIENCE_SECONDS)
        return await patiently(_may_pass, self._uploader.state, self._receiver_url, status_url)


def _reached(status: DeploymentStatus | None, wait_for: WaitFor) -> bool:
    return status in _ORDER and _ORDER.index(status) >= _ORDER.index(wait_for)


def _may_pass(exc: Exception) -> bool:
    return isinstance(exc, DeploymentSenderError) and exc.retry


def _check(state: DeploymentState, wait_for: WaitFor) -> None:
    if state.status == "failed":
        raise _failed(state)
    if state.status == "loaded" and wait_for == "running" and not state.will_run:
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            "the image is loaded, but this receiver starts no containers",
            recovery="Start the receiver with --run, or transfer with wait_for=loaded.",
            retry=False,
        )


def _failed(state: DeploymentState) -> DeploymentSenderError:
    words = ": ".join(word for word in (state.error_code, state.error_message) if word) or "it does not say why"
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED,
        f"the receiver took the package but could not deploy it: {words}",
        recovery="Mend on the receiver what its message names, then transfer again.",
        retry=False,
    )
