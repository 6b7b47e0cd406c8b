"""What happens to a package after its receiver took it: ask until it is as far as was wanted."""

import asyncio
from collections.abc import Callable
from functools import partial

from ..concurrency import deadline
from ..errors import DeploymentSenderError, ErrorCode
from ..models import DeploymentStatus
from ..models.fields import WaitFor
from ..ports import DeploymentState, PackageUploader, Receipt
from .retrying import Pauses, retrying

__all__ = ["Follower"]

_ORDER: tuple[DeploymentStatus, ...] = ("received", "loading", "loaded", "running")
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.5
_LOOK = (
    "Look with `deployment-sender status {id} --to {url}`, or transfer the package again to wait for it again: nothing"
    " is deployed twice."
)


class Follower:
    """Follows one deployment.

    Args:
        uploader: The way to its receiver.
        receiver_url: Where the package was sent.
        on_state: Told every state that the receiver tells.
        on_wait: Told what keeps the receiver from answering, and the seconds until it is asked again.
        pauses: Between questions that the receiver does not answer.
    """

    def __init__(
        self,
        uploader: PackageUploader,
        receiver_url: str,
        on_state: Callable[[DeploymentState], None],
        on_wait: Callable[[DeploymentSenderError, float], None],
        pauses: Pauses,
    ) -> None:
        self._uploader = uploader
        self._receiver_url = receiver_url
        self._on_state = on_state
        self._on_wait = on_wait
        self._pauses = pauses
        self._state: DeploymentState | None = None
        self._trouble: DeploymentSenderError | None = None

    async def follow(self, receipt: Receipt, *, wait_for: WaitFor | None, seconds: float) -> None:
        """Wait until a deployment has the status that is wanted; be content where the receiver tells none.

        Args:
            receipt: What the receiver answered.
            wait_for: The status that is wanted, a later one will do; None for as far as this receiver goes.
            seconds: How long to wait at most, also for a receiver that does not answer meanwhile.

        Raises:
            DeploymentSenderError: TRANSFER_FAILED when the deployment failed, was replaced, will never be so far, or
                took too long; what the uploader raises when the receiver refuses to tell.
        """
        status, pause = receipt.status, _FIRST_PAUSE_SECONDS
        if status == "failed" and receipt.status_url is None:
            raise _failed(DeploymentState(receipt.deployment_id, status))
        async with deadline(seconds, lambda: self._late(receipt, wait_for, seconds)):
            while receipt.status_url is not None and not self._is_reached(status, wait_for):
                await asyncio.sleep(pause)
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
                self._state = await self._ask(receipt, receipt.status_url)
                status = self._state.status
                self._on_state(self._state)
                _check(self._state, wait_for)

    async def _ask(self, receipt: Receipt, status_url: str) -> DeploymentState:
        """Ask once, and again until the wait's own deadline if the receiver does not answer: it has the package."""

        def wait(error: DeploymentSenderError, seconds: float) -> None:
            self._trouble = error
            self._on_wait(error, seconds)

        ask = partial(self._uploader.state, self._receiver_url, status_url)
        try:
            state = await retrying(ask, wait, pauses=self._pauses)
        except DeploymentSenderError as error:
            message = f"{_taken(receipt)}, but what became of it is not known: {error.message}"
            raise DeploymentSenderError(error.code, message, recovery=error.recovery, retry=False) from error
        self._trouble = None
        return state

    def _is_reached(self, status: DeploymentStatus | None, wait_for: WaitFor | None) -> bool:
        if status == "replaced":
            return wait_for == "received"
        if status not in _ORDER:
            return False
        if wait_for is None and self._state is None:  # not known yet how far this receiver goes
            return status == "running"
        return _ORDER.index(status) >= _ORDER.index(self._wanted(wait_for))

    def _wanted(self, wait_for: WaitFor | None) -> WaitFor:
        return wait_for or ("running" if self._state and self._state.will_run else "loaded")

    def _late(self, receipt: Receipt, wait_for: WaitFor | None, seconds: float) -> DeploymentSenderError:
        state = self._state or DeploymentState(receipt.deployment_id, receipt.status or "received")
        message = f"{_taken(receipt)} and goes on with it, but after {seconds:g} s it is {state.status}"
        message += f", not {self._wanted(wait_for)}"
        message += f" ({_words(state)})" if state.error_message else ""
        message += f"; it does not answer now: {self._trouble.message}" if self._trouble else ""
        look = _LOOK.format(id=receipt.deployment_id, url=self._receiver_url)
        recovery = f"{look} Raise deployment_timeout_seconds to wait longer."
        return DeploymentSenderError(ErrorCode.TRANSFER_FAILED, message, recovery=recovery)


def _check(state: DeploymentState, wait_for: WaitFor | None) -> None:
    if state.status == "failed":
        raise _failed(state)
    if state.status == "replaced" and wait_for != "received":
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"the deployment {state.deployment_id} was replaced by a later one of the same image name",
            recovery="Look at the later deployment; transfer this package again if it is the one that is wanted.",
            retry=False,
        )
    if state.status == "loaded" and wait_for == "running" and not state.will_run:
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            "the image is loaded, but this receiver starts no containers",
            recovery="Start the receiver with --run, or transfer with wait_for=loaded.",
            retry=False,
        )


def _taken(receipt: Receipt) -> str:
    verified = "has the package, verified" if receipt.checksum_verified else "has the package"
    return f"the receiver {verified}, as deployment {receipt.deployment_id}"


def _words(state: DeploymentState) -> str:
    return ": ".join(word for word in (state.error_code, state.error_message) if word) or "it does not say why"


def _failed(state: DeploymentState) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED,
        f"the receiver took the package but could not deploy it: {_words(state)}",
        recovery="Fix on the receiver what its message names, then transfer again.",
        retry=False,
    )
