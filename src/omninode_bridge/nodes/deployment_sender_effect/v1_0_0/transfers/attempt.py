"""Attempts to send one package to one target, and what is known of the transfer so far."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from ..concurrency import deadline
from ..errors import OperationError, TransferError
from ..models.platform import can_run
from ..ports import (
    DeploymentState,
    DeployTarget,
    PackageContent,
    Progress,
    ProgressCallback,
    Receipt,
    ReceiverInfo,
)
from ..telemetry.metrics import Span
from .retrying import Pauses, retrying

__all__ = ["AttemptLimits", "AttemptTimer", "PackageSender", "TransferState"]

_log = logging.getLogger(__name__)

_STATUS_LINES = {
    "received": "the receiver has the package",
    "loading": "the receiver is loading the image",
    "loaded": "the image is loaded",
    "running": "the container is running",
    "replaced": "a later deployment has replaced this one",
    "failed": "the deployment has failed",
}


class AttemptTimer:
    """Times one attempt; starts when it is created.

    Attributes:
        sent_bytes: Bytes of the package sent so far.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._connected: float | None = None
        self._last_sent = self._started
        self.sent_bytes = 0

    def record_sent(self, done_bytes: int) -> None:
        """Record progress as the target reports it: 0 once connected, then all bytes so far."""
        self._last_sent = time.perf_counter()
        self._connected = self._connected or self._last_sent
        self.sent_bytes = done_bytes

    def stages_ms(self) -> dict[str, float]:
        """Return the milliseconds to connect, to send, and from then until now, when the receiver has responded."""
        connected = self._connected or self._last_sent
        return {
            "connect": (connected - self._started) * 1000,
            "send": (self._last_sent - connected) * 1000,
            "verify": (time.perf_counter() - self._last_sent) * 1000,
        }

    @property
    def megabytes_per_second(self) -> float:
        """Bytes sent over the whole time so far; an MB is 1,000,000 bytes."""
        return self.sent_bytes / ((time.perf_counter() - self._started) * 1_000_000)


@dataclass
class TransferState:
    """The facts of one transfer so far, for its output and for progress.

    Attributes:
        report: Called with each step.
        stages_ms: Milliseconds spent in each stage.
        attempts: Uploads tried.
        bytes_transferred: Bytes of the package that the receiver has acknowledged.
        duration_ms: Milliseconds from the first attempt to the receipt.
        throughput_mbps: MB/s of the successful attempt; an MB is 1,000,000 bytes.
        last_error: The failure of the last attempt; None once one has succeeded.
        receipt: The receiver's receipt, once it has the package.
        deployment: The state of the deployment as the receiver reported it last.
    """

    report: ProgressCallback
    stages_ms: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    bytes_transferred: int = 0
    duration_ms: float | None = None
    throughput_mbps: float | None = None
    last_error: OperationError | None = None
    receipt: Receipt | None = None
    deployment: DeploymentState | None = None

    def report_retry(self, error: OperationError, seconds: float) -> None:
        """Report why the transfer does not proceed, and when it is tried again."""
        line = f"{error.message}; trying again in {seconds:.0f} s"
        self.report(Progress(stage="retry", line=line, receipt=self.receipt))

    def record_receipt(self, receipt: Receipt, size_bytes: int, timer: AttemptTimer) -> None:
        """Record the successful attempt, and report it."""
        self.receipt, self.last_error, self.bytes_transferred = receipt, None, size_bytes
        self.throughput_mbps = timer.megabytes_per_second
        self.stages_ms |= timer.stages_ms()
        verified = " and has verified it" if receipt.checksum_verified else ""
        line = f"the receiver has the package{verified}: deployment {receipt.deployment_id}"
        self.report(Progress(stage="deploy", line=line, receipt=receipt))

    def record_deployment(self, deployment: DeploymentState) -> None:
        """Record the state of the deployment, and report it if it has changed."""
        before, self.deployment = self.deployment, deployment
        if before == deployment or self.receipt is None:
            return
        line = _STATUS_LINES[deployment.status]
        if deployment.status == "loaded" and deployment.will_run:
            line += ", and the receiver is starting the container"
        if deployment.error_message and deployment.status != "failed":  # the reason of a failure is the final error
            line += f": {deployment.error_message}"
        receipt = replace(self.receipt, status=deployment.status)
        self.report(Progress(stage="deploy", line=line, receipt=receipt))

    def timed_out(self, seconds: float) -> OperationError:
        """Return the error for a transfer whose time is over: that of the last attempt, if one has failed."""
        message = f"the receiver did not have the package after {seconds:g} s"
        if self.last_error is None:
            return TransferError(
                message,
                recovery="Check the network to the receiver, or raise transfer_timeout_seconds; then transfer again.",
            )
        count = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        message += f" and {count}; the last failure: {self.last_error.message}"
        return type(self.last_error)(message, recovery=self.last_error.recovery)

    @property
    def continues(self) -> bool:
        """Whether the receiver is still working on the deployment, as far as is known."""
        if self.deployment is not None:
            return self.deployment.status in {"received", "loading"} or (
                self.deployment.status == "loaded" and self.deployment.will_run
            )
        return self.receipt is not None and self.receipt.status in {"received", "loading"}


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How long and how often to try.

    Attributes:
        seconds: For all attempts together.
        attempts: How many at most; None for no limit.
        pauses: Between attempts.
    """

    seconds: float
    attempts: int | None
    pauses: Pauses


class PackageSender:
    """Sends one package to one target, again if need be.

    Args:
        target: The receiver.
        content: The package.
        state: Records and reports each step.
        platform: The platform that the receiver's engine must run, `os/architecture[/variant]`; None for any.
    """

    def __init__(
        self, target: DeployTarget, content: PackageContent, state: TransferState, platform: str | None
    ) -> None:
        self._target = target
        self._content = content
        self._state = state
        self._unchecked_platform = platform

    async def send(self, limits: AttemptLimits, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Receipt:
        """Send until the receiver has the package.

        Args:
            limits: How long and how often to try.
            sleep: Waits that many seconds between attempts.

        Raises:
            OperationError: Of the last attempt, when it is not worth another or a limit is reached.
        """
        span = Span()
        async with deadline(limits.seconds, lambda: self._state.timed_out(limits.seconds)):
            receipt = await retrying(
                self._attempt,
                self._state.report_retry,
                pauses=limits.pauses,
                attempts=limits.attempts,
                sleep=sleep,
            )
        self._state.duration_ms = span.elapsed_ms
        return receipt

    async def _attempt(self) -> Receipt:
        try:
            await self._check_platform()
            return await self._deploy()
        except OperationError as error:
            self._state.last_error = error
            package_id = self._content.identity.package_id
            _log.warning("attempt %d to send package %s failed: %s", self._state.attempts, package_id, error.message)
            raise

    async def _check_platform(self) -> None:
        """Check once, before a byte is sent, that the receiver's engine can run the image, as far as that is known."""
        if self._unchecked_platform is None:
            return
        try:
            info = await self._target.info()
        except OperationError:
            self._state.attempts += 1  # an upload would have failed the same way
            raise
        _require_platform(self._unchecked_platform, info)
        self._unchecked_platform = None

    async def _deploy(self) -> Receipt:
        self._state.attempts += 1
        timer, size_bytes = AttemptTimer(), self._content.size_bytes

        def on_sent(done_bytes: int) -> None:
            timer.record_sent(done_bytes)
            self._state.report(Progress(stage="upload", done_bytes=done_bytes, total_bytes=size_bytes))

        receipt = await self._target.deploy(self._content, on_sent)
        self._state.record_receipt(receipt, size_bytes, timer)
        return receipt


def _require_platform(platform: str, info: ReceiverInfo | None) -> None:
    engine = info.engine if info else None
    if engine is not None and engine.platform and not can_run(platform, engine.platform):
        raise TransferError(
            f"the image is for {platform}, and the receiver's engine runs {engine.platform}; nothing was sent",
            recovery=f"Package it for {engine.platform} (platform, --platform), or send it anyway (any_platform,"
            " --any-platform).",
            retry=False,
        )
