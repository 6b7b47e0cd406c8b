"""One transfer and what is known of it so far."""

from dataclasses import dataclass, field, replace

from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelPackageTransferInput
from ..ports import DeploymentState, PackageUpload, Progress, ProgressCallback, Receipt
from ..telemetry.metrics import Span
from .attempt import Attempt

__all__ = ["TransferState"]

_DOING = {
    "received": "the receiver has the package",
    "loading": "the receiver is loading the image",
    "loaded": "the image is loaded",
    "running": "the container is running",
    "replaced": "a later deployment has replaced this one",
    "failed": "the deployment has failed",
}


@dataclass
class TransferState:
    """One transfer.

    Attributes:
        request: What was asked for.
        receiver_url: Where it goes.
        tell: Told each step.
        fits: The receiver's engine runs the image, as far as is known.
        attempts: Uploads tried.
        trouble: The failure of the last attempt, until one gets through.
        receipt: What the receiver answered, once it has the package.
        state: What the receiver said last of the deployment.
    """

    request: ModelPackageTransferInput
    receiver_url: str
    tell: ProgressCallback
    span: Span = field(default_factory=Span)
    fits: bool = False
    attempts: int = 0
    bytes_transferred: int = 0
    duration_ms: float | None = None
    throughput_mbps: float | None = None
    trouble: DeploymentSenderError | None = None
    receipt: Receipt | None = None
    state: DeploymentState | None = None

    def waits(self, error: DeploymentSenderError, seconds: float) -> None:
        """Tell what keeps it from going on, and for how long."""
        line = f"{error.message}; trying again in {seconds:.0f} s"
        self.tell(Progress(stage="retry", line=line, receipt=self.receipt))

    def took(self, receipt: Receipt, upload: PackageUpload, attempt: Attempt) -> None:
        """Remember the attempt that got through."""
        self.receipt, self.trouble, self.bytes_transferred = receipt, None, upload.size_bytes
        self.throughput_mbps = attempt.megabytes_per_second
        self.span.stages_ms |= attempt.stages_ms()
        verified = " and has verified it" if receipt.checksum_verified else ""
        line = f"the receiver has the package{verified}: deployment {receipt.deployment_id}"
        self.tell(Progress(stage="deploy", line=line, receipt=receipt))

    def told(self, state: DeploymentState) -> None:
        """Remember what the receiver says, and tell it if it is something new."""
        before, self.state = self.state, state
        if before == state or self.receipt is None:
            return
        doing = _DOING[state.status]
        if state.status == "loaded" and state.will_run:
            doing += ", and the receiver is starting the container"
        # Why it has failed is the error that ends the transfer, and told with it.
        line = f"{doing}: {state.error_message}" if state.error_message and state.status != "failed" else doing
        receipt = replace(self.receipt, status=state.status)
        self.tell(Progress(stage="deploy", line=line, receipt=receipt))

    def too_late(self, seconds: float) -> DeploymentSenderError:
        """Make the error for a transfer whose time is over: with the code of what kept it."""
        message = f"the receiver did not have the package after {seconds:g} s"
        if self.trouble is None:
            return DeploymentSenderError(
                ErrorCode.TRANSFER_FAILED,
                message,
                recovery="Look for what slows the way to the receiver, or raise transfer_timeout_seconds; then"
                " transfer again.",
            )
        tries = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        message += f" and {tries}; the last failure: {self.trouble.message}"
        return DeploymentSenderError(self.trouble.code, message, recovery=self.trouble.recovery)

    @property
    def continues(self) -> bool:
        """Whether the receiver is still working on the deployment, as far as is known."""
        if self.state is not None:
            return self.state.status in {"received", "loading"} or (
                self.state.status == "loaded" and self.state.will_run
            )
        return self.receipt is not None and self.receipt.status in {"received", "loading"}
