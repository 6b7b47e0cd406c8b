"""What is known of a transfer while it is under way, for whoever breaks it off."""

from ..models import ModelPackageTransferInput
from ..ports import Progress, Receipt

__all__ = ["Watch"]


class Watch:
    """Sees each step of one transfer.

    Attributes:
        receipt: What the receiver answered, with the last status that it told; None before that.
        was_sent: All bytes of the package were sent, so that the receiver may have it, whatever it has answered.
    """

    def __init__(self) -> None:
        self.receipt: Receipt | None = None
        self.was_sent = False
        self._line = ""

    def see(self, progress: Progress) -> None:
        """Look at a step."""
        self.receipt = progress.receipt or self.receipt
        if progress.stage == "upload" and progress.done_bytes == progress.total_bytes:
            self.was_sent = True
        if progress.stage == "deploy":
            self._line = progress.line or ""

    @property
    def may_continue(self) -> bool:
        """Whether the receiver may go on though nobody waits for it."""
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
        """Return what is known and how to look, for people."""
        url, package_id = request.remote_receiver_url, request.package_id
        again = f"deployment-sender transfer {package_id} --to {url}"
        if self.receipt is not None:
            verified = "sent and verified" if self.receipt.checksum_verified else "sent"
            deployment_id = self.receipt.deployment_id
            return [
                f"package {package_id} is {verified}; the receiver goes on with deployment {deployment_id}",
                f"last known: {self._line}",
                f"to look: deployment-sender status {deployment_id} --to {url}",
                f"to wait again: {again}",
            ]
        if self.was_sent:
            return [
                f"package {package_id} was sent, but the receiver had not answered: it may have it and go on",
                f"to look: deployment-sender status --to {url}",
                f"to wait again: {again}",
            ]
        return [f"package {package_id} was not sent and is kept: {again}"]
