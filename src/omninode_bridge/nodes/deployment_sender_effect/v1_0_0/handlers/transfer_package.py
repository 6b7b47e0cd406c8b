"""Handler of `transfer_package`: check, send until the receiver has it, and follow it until it is loaded there."""

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from ..errors import DeploymentSenderError, ErrorCode
from ..metrics import Span
from ..models import DeploymentStatus, ModelPackageTransferInput, ModelPackageTransferOutput
from ..ports import PackageUpload, PackageUploader, Progress, ProgressCallback, Receipt
from ..resources import Resources
from .attempt import Attempt
from .follow import Follower
from .outcome import failure, settle
from .sent_package import checking, insist_on_checksum, opened
from .waiting import deadline

if TYPE_CHECKING:
    from ..store.store import StoredPackage

__all__ = ["TransferPackageHandler"]

_log = logging.getLogger(__name__)
_RETRY_JITTER_SECONDS = 1.0


@dataclass
class _Trip:
    """One transfer and what is known of it so far."""

    request: ModelPackageTransferInput
    receiver_url: str
    tell: ProgressCallback
    span: Span = field(default_factory=Span)
    attempts: int = 0
    bytes_transferred: int = 0
    duration_ms: float | None = None
    throughput_mbps: float | None = None
    receipt: Receipt | None = None
    status: DeploymentStatus | None = None

    def told(self, status: DeploymentStatus) -> None:
        """Remember the last status that the receiver told."""
        self.status = status

    def took(self, receipt: Receipt, upload: PackageUpload, attempt: Attempt) -> None:
        """Remember the attempt that got through."""
        self.receipt, self.status, self.bytes_transferred = receipt, receipt.status, upload.size_bytes
        self.throughput_mbps = attempt.megabits_per_second
        self.span.stages_ms |= attempt.stages_ms()

    def output(self, error: DeploymentSenderError | None = None) -> ModelPackageTransferOutput:
        """Tell how it went; also a failed transfer tells what did happen."""
        receipt = self.receipt
        return ModelPackageTransferOutput(
            **(failure(error) if error else {"success": True}),
            transfer_success=error is None,
            correlation_id=self.request.correlation_id,
            package_id=self.request.package_id,
            remote_deployment_id=receipt and receipt.deployment_id,
            deployment_status=self.status,
            checksum_verified=receipt and receipt.checksum_verified,
            transfer_duration_ms=self.duration_ms,
            transfer_throughput_mbps=self.throughput_mbps,
            bytes_transferred=self.bytes_transferred,
            attempts=self.attempts,
            stages_ms=self.span.stages_ms,
        )


class TransferPackageHandler:
    """Brings packages of the store to receivers."""

    request_model: ClassVar = ModelPackageTransferInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._turns = asyncio.Semaphore(resources.settings.max_concurrent_transfers)

    async def handle(
        self, request: ModelPackageTransferInput, on_progress: ProgressCallback | None = None
    ) -> ModelPackageTransferOutput:
        """Send one package.

        Args:
            request: What to send where.
            on_progress: Told the bytes sent in each attempt, on the loop's thread.

        Returns:
            The receiver's receipt and the deployment's status, or the failure: REMOTE_UNREACHABLE, TRANSFER_FAILED,
            CHECKSUM_MISMATCH, PACKAGE_TOO_LARGE.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR before anything is sent.
        """
        trip = _Trip(request, self._receiver_url(request), on_progress or (lambda _: None))
        return await settle(self._transfer(trip), trip.output)

    def _receiver_url(self, request: ModelPackageTransferInput) -> str:
        given = request.remote_receiver_url or self._resources.settings.default_receiver_url
        if given is None:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                "no receiver is named",
                recovery="Give remote_receiver_url in the input, or set DEFAULT_RECEIVER_URL.",
            )
        return given

    async def _transfer(self, trip: _Trip) -> ModelPackageTransferOutput:
        metrics, subject = self._resources.metrics, f"package {trip.request.package_id}"
        await (await self._resources.uploader()).check(trip.receiver_url)
        async with AsyncExitStack() as held:
            try:
                package = await held.enter_async_context(opened(await self._resources.store(), trip.request))
            except DeploymentSenderError as error:
                if error.code is ErrorCode.VALIDATION_ERROR:
                    raise
                with metrics.span("transfers", subject):
                    raise
            with metrics.span("transfers", subject) as trip.span:
                async with self._turns:
                    receipt = await self._deliver(trip, package)
                await held.aclose()
                follower = Follower(await self._resources.uploader(), trip.receiver_url, trip.told)
                seconds = self._resources.settings.deployment_timeout_seconds
                with trip.span.stage("load"):
                    await follower.follow(receipt, wait_for=trip.request.wait_for, seconds=seconds)
        return trip.output()

    async def _deliver(self, trip: _Trip, package: "StoredPackage") -> Receipt:
        """Send the package until the receiver has it, or must not be tried again, and check it meanwhile."""
        manifest, request = package.manifest, trip.request
        verify = manifest.verify_checksum if request.verify_checksum is None else request.verify_checksum
        insist_on_checksum(manifest, request.package_checksum)
        async with checking(package, trip.span, verify=verify) as check:
            return await self._send_checked(trip, package, check, verify=verify)

    async def _send_checked(
        self, trip: _Trip, package: "StoredPackage", check: asyncio.Future[None] | None, *, verify: bool
    ) -> Receipt:
        manifest = package.manifest
        upload = PackageUpload(
            receiver_url=trip.receiver_url,
            file=package.file,
            filename=manifest.filename,
            size_bytes=manifest.size_bytes,
            package_id=manifest.package_id,
            checksum=manifest.checksum,
            container_name=manifest.container_name,
            image_tag=manifest.image_tag,
            compression=manifest.compression,
            image_id=manifest.config_digest,
            verify_checksum=verify,
            correlation_id=trip.request.correlation_id or manifest.correlation_id,
            platform=manifest.platform,
            check=check,
        )
        sending, seconds = Span(), self._resources.settings.transfer_timeout_seconds
        async with deadline(seconds, lambda: _too_late(seconds)):
            receipt = await self._send(trip, upload)
        trip.duration_ms = sending.elapsed_ms
        self._resources.metrics.add("total_bytes_transferred", upload.size_bytes)
        return receipt

    async def _send(self, trip: _Trip, upload: PackageUpload) -> Receipt:
        uploader = await self._resources.uploader()
        await asyncio.to_thread(import_module, "stamina")  # takes longer than a loop may wait
        import stamina  # noqa: PLC0415 - only transfers need it

        again_and_again = stamina.AsyncRetryingCaller(attempts=self._resources.settings.transfer_attempts, timeout=None)
        return await again_and_again(_whether_again, _attempt, trip, upload, uploader)


async def _attempt(trip: _Trip, upload: PackageUpload, uploader: PackageUploader) -> Receipt:
    trip.attempts += 1
    attempt = Attempt()

    def on_sent(done_bytes: int) -> None:
        attempt.sent(done_bytes)
        trip.tell(Progress(stage="upload", done_bytes=done_bytes, total_bytes=upload.size_bytes))

    try:
        receipt = await uploader.send(upload, on_sent)
    except DeploymentSenderError as error:
        _log.warning("attempt %d to send package %s failed: %s", trip.attempts, upload.package_id, error.message)
        raise
    trip.took(receipt, upload, attempt)
    return receipt


def _whether_again(exc: Exception) -> bool | float:
    """Tell stamina whether to try again, and after how many seconds if the receiver asked for some."""
    if not isinstance(exc, DeploymentSenderError) or not exc.retry:
        return False
    if exc.retry_after is None:
        return True
    return exc.retry_after + random.uniform(0, _RETRY_JITTER_SECONDS)  # noqa: S311 - spreads senders, hides nothing


def _too_late(seconds: float) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED,
        f"the receiver did not have the package after {seconds:g} s",
        recovery="Look for what slows the way to the receiver, or raise transfer_timeout_seconds; then transfer again.",
    )
