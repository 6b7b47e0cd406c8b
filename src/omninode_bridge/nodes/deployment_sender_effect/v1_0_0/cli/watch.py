"""Records one transfer while it runs, so that an interrupted command can show what is known of it."""

from ..models import ModelPackageTransferInput
from ..ports import Progress, Receipt

__all__ = ["Watch"]


class Watch:
    """Records the progress of one transfer.

    Attributes:
        receipt: The receiver's receipt, with the latest status that it reported; None before that.
        was_sent: Whether all bytes of the package were sent: then the receiver may have it, even without a receipt.
    """

    def __init__(self) -> None:
        self.receipt: Receipt | None = None
        self.was_sent = False
        self._last_line = ""

    def record(self, progress: Progress) -> None:
        """Record a step."""
        self.receipt = progress.receipt or self.receipt
        if progress.stage == "upload" and progress.done_bytes == progress.total_bytes:
            self.was_sent = True
        if progress.stage == "deploy":
            self._last_line = progress.line or ""

    @property
    def may_continue(self) -> bool:
        """Whether the receiver may continue without this process."""
        return self.receipt is not None or self.was_sent

    def document(self, request: ModelPackageTransferInput) -> dict[str, object]:
        """Return what is known, for programs."""
        receipt = self.receipt
        return {
            "success": False,
            "interrupted": True,
            "package_id": request.package_id,
            "remote_deployment_id": receipt and receipt.deployment_id,
            "deployment_status": receipt and receipt.status,
            "checksum_verified": receipt and receipt.checksum_verified,
            "deployment_continues": self.may_continue,
        }

    def lines(self, request: ModelPackageTransferInput) -> list[str]:
        """Return what is known and which commands continue from here, for people."""
        url, package_id = request.remote_receiver_url, request.package_id
        again = f"deployment-sender transfer {package_id} --to {url}"
        if self.receipt is not None:
            verified = "sent and verified" if self.receipt.checksum_verified else "sent"
            deployment_id = self.receipt.deployment_id
            return [
                f"package {package_id} is {verified}; the receiver continues with deployment {deployment_id}",
                f"last known: {self._last_line}",
                f"to check: deployment-sender status {deployment_id} --to {url}",
                f"to continue waiting: {again}",
            ]
        if self.was_sent:
            return [
                f"package {package_id} was sent, but the receiver had not responded: it may have it and continue",
                f"to check: deployment-sender status --to {url}",
                f"to continue waiting: {again}",
            ]
        return [f"package {package_id} was not sent and is kept: {again}"]
