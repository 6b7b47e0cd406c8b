"""Polls a receiver until a deployment reaches the requested status."""

import asyncio
from collections.abc import Callable
from functools import partial

from ..concurrency import deadline
from ..errors import OperationError, TransferError
from ..models import DeploymentStatus
from ..models.fields import WaitFor
from ..ports import DeploymentState, DeployTarget, Receipt
from .retrying import Pauses, retrying

__all__ = ["Follower"]

_ORDER: tuple[DeploymentStatus, ...] = ("received", "loading", "loaded", "running")
# As docs/receiver-protocol.md says: small images load at once, large ones take minutes.
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.5
_STATUS_COMMAND = (
    "Check with `deployment-sender status {id} --to {url}`, or transfer the package again to continue waiting: nothing"
    " is deployed twice."
)


class Follower:
    """Follows one deployment.

    Args:
        target: The receiver.
        on_state: Called with every state that the receiver reports.
        on_wait: Called with each error of a status request that is retried, and the seconds until then.
        pauses: Between status requests that fail.
    """

    def __init__(
        self,
        target: DeployTarget,
        on_state: Callable[[DeploymentState], None],
        on_wait: Callable[[OperationError, float], None],
        pauses: Pauses,
    ) -> None:
        self._target = target
        self._on_state = on_state
        self._on_wait = on_wait
        self._pauses = pauses
        self._state: DeploymentState | None = None
        self._last_error: OperationError | None = None

    async def follow(self, receipt: Receipt, *, wait_for: WaitFor | None, seconds: float) -> None:
        """Wait until a deployment has the requested status; return at once if the receiver reports no status.

        Args:
            receipt: The receiver's receipt.
            wait_for: The requested status, or a later one; None for the last one that this receiver reaches.
            seconds: How long to wait at most, also for a receiver that does not respond meanwhile.

        Raises:
            TransferError: The deployment failed, was replaced, can never reach the status, or took too long.
            OperationError: The receiver refuses to report the status.
        """
        status, pause = receipt.status, _FIRST_PAUSE_SECONDS
        if status == "failed" and receipt.status_url is None:
            raise _deployment_failed(DeploymentState(receipt.deployment_id, status))
        async with deadline(seconds, lambda: self._timed_out(receipt, wait_for, seconds)):
            while receipt.status_url is not None and not self._is_reached(status, wait_for):
                await asyncio.sleep(pause)
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
                self._state = await self._request_status(receipt)
                status = self._state.status
                self._on_state(self._state)
                _check_reachable(self._state, wait_for)

    async def _request_status(self, receipt: Receipt) -> DeploymentState:
        """Request the status, and again until the caller's deadline if the receiver does not respond."""

        def on_wait(error: OperationError, seconds: float) -> None:
            self._last_error = error
            self._on_wait(error, seconds)

        try:
            state = await retrying(partial(self._target.status, receipt), on_wait, pauses=self._pauses)
        except OperationError as error:
            message = f"{_accepted(receipt)}, but the status of the deployment is not known: {error.message}"
            raise type(error)(message, recovery=error.recovery, retry=False) from error
        self._last_error = None
        return state

    def _is_reached(self, status: DeploymentStatus | None, wait_for: WaitFor | None) -> bool:
        if status == "replaced":
            return wait_for == "received"
        if status not in _ORDER:
            return False
        if wait_for is None and self._state is None:  # not known yet whether this receiver starts containers
            return status == "running"
        return _ORDER.index(status) >= _ORDER.index(self._final_status(wait_for))

    def _final_status(self, wait_for: WaitFor | None) -> WaitFor:
        return wait_for or ("running" if self._state and self._state.will_run else "loaded")

    def _timed_out(self, receipt: Receipt, wait_for: WaitFor | None, seconds: float) -> TransferError:
        state = self._state or DeploymentState(receipt.deployment_id, receipt.status or "received")
        message = f"{_accepted(receipt)} and continues with it, but after {seconds:g} s it is {state.status}"
        message += f", not {self._final_status(wait_for)}"
        message += f" ({_reason(state)})" if state.error_message else ""
        message += f"; the receiver does not respond now: {self._last_error.message}" if self._last_error else ""
        check = _STATUS_COMMAND.format(id=receipt.deployment_id, url=self._target.url)
        return TransferError(message, recovery=f"{check} Raise deployment_timeout_seconds to wait longer.")


def _check_reachable(state: DeploymentState, wait_for: WaitFor | None) -> None:
    """Raise a `TransferError` if the deployment has ended in another way than was requested."""
    if state.status == "failed":
        raise _deployment_failed(state)
    if state.status == "replaced" and wait_for != "received":
        raise TransferError(
            f"the deployment {state.deployment_id} was replaced by a later one of the same image name",
            recovery="Check the later deployment; transfer this package again if you want this one instead.",
            retry=False,
        )
    if state.status == "loaded" and wait_for == "running" and not state.will_run:
        raise TransferError(
            "the image is loaded, but this receiver starts no containers",
            recovery="Start the receiver with --run, or transfer with wait_for=loaded.",
            retry=False,
        )


def _accepted(receipt: Receipt) -> str:
    verified = "has the package, verified" if receipt.checksum_verified else "has the package"
    return f"the receiver {verified}, as deployment {receipt.deployment_id}"


def _reason(state: DeploymentState) -> str:
    return ": ".join(text for text in (state.error_code, state.error_message) if text) or "it gives no reason"


def _deployment_failed(state: DeploymentState) -> TransferError:
    return TransferError(
        f"the receiver accepted the package but could not deploy it: {_reason(state)}",
        recovery="Fix the problem that the receiver reported, then transfer again.",
        retry=False,
    )
