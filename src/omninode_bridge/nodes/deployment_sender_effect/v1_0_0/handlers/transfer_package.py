"""Handler of `transfer_package`: check, send until the receiver has it, and follow it until it is loaded there."""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ..concurrency import Turn, deadline
from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelPackageTransferInput, ModelPackageTransferOutput
from ..models.platform import can_run
from ..ports import PackageUpload, PackageUploader, Progress, ProgressCallback, Receipt, ReceiverInfo
from ..resources import Resources
from ..telemetry.metrics import Span
from ..transfers.attempt import Attempt
from ..transfers.follow import Follower
from ..transfers.retrying import Pauses, retrying
from ..transfers.source import open_package, require_checksum, verify_while_sending
from ..transfers.state import TransferState
from .outcome import errors_to_output, failure

if TYPE_CHECKING:
    from ..store.packages import StoredPackage

__all__ = ["TransferPackageHandler"]

_log = logging.getLogger(__name__)


class TransferPackageHandler:
    """Brings packages of the store to receivers.

    Args:
        resources: What the handlers share.
        pauses: Between attempts, and between questions that a receiver does not answer.
    """

    request_model: ClassVar = ModelPackageTransferInput

    def __init__(self, resources: Resources, pauses: Pauses | None = None) -> None:
        self._resources = resources
        self._pauses = pauses or Pauses()
        self._turns = asyncio.Semaphore(resources.settings.max_concurrent_transfers)

    async def handle(
        self, request: ModelPackageTransferInput, on_progress: ProgressCallback | None = None
    ) -> ModelPackageTransferOutput:
        """Send one package.

        Args:
            request: What to send where.
            on_progress: Told the bytes sent in each attempt, what is tried again, and what the receiver does with the
                package, on the loop's thread.

        Returns:
            The receiver's receipt and the deployment's status, or the failure: REMOTE_UNREACHABLE, TRANSFER_FAILED,
            CHECKSUM_MISMATCH, PACKAGE_TOO_LARGE.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR before anything is sent.
        """
        trip = TransferState(request, self._receiver_url(request), on_progress or (lambda _: None))
        return await errors_to_output(self._transfer(trip), partial(_output, trip), storage=ErrorCode.TRANSFER_FAILED)

    def _receiver_url(self, request: ModelPackageTransferInput) -> str:
        given = request.remote_receiver_url or self._resources.settings.default_receiver_url
        if given is None:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                "no receiver is named",
                recovery="Give remote_receiver_url in the input, or set DEFAULT_RECEIVER_URL.",
            )
        return given

    async def _transfer(self, trip: TransferState) -> ModelPackageTransferOutput:
        metrics, subject = self._resources.metrics, f"package {trip.request.package_id}"
        await (await self._resources.uploader()).check(trip.receiver_url)
        async with AsyncExitStack() as held:
            try:
                package = await held.enter_async_context(open_package(await self._resources.store(), trip.request))
            except DeploymentSenderError as error:
                if error.code is ErrorCode.VALIDATION_ERROR:
                    raise
                with metrics.span("transfers", subject):
                    raise
            with metrics.span("transfers", subject) as trip.span:
                async with Turn(self._turns) as turn:
                    receipt = await self._deliver(trip, package, turn)
                await held.aclose()
                uploader = await self._resources.uploader()
                follower = Follower(uploader, trip.receiver_url, trip.told, trip.waits, self._pauses)
                seconds = self._resources.settings.deployment_timeout_seconds
                with trip.span.stage("load"):
                    await follower.follow(receipt, wait_for=trip.request.wait_for, seconds=seconds)
        return _output(trip)

    async def _deliver(self, trip: TransferState, package: "StoredPackage", turn: Turn) -> Receipt:
        """Send the package until the receiver has it, or must not be tried again, and check it meanwhile."""
        manifest, request = package.manifest, trip.request
        verify = manifest.verify_checksum if request.verify_checksum is None else request.verify_checksum
        require_checksum(manifest, request.package_checksum)
        async with verify_while_sending(package, trip.span, verify=verify) as check:
            return await self._send_checked(trip, package, check, turn, verify=verify)

    async def _send_checked(
        self,
        trip: TransferState,
        package: "StoredPackage",
        check: asyncio.Future[None] | None,
        turn: Turn,
        *,
        verify: bool,
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
        settings = self._resources.settings
        sending, seconds = Span(), trip.request.transfer_timeout_seconds or settings.transfer_timeout_seconds
        async with deadline(seconds, lambda: trip.too_late(seconds)):
            receipt = await retrying(
                partial(self._attempt, trip, upload, None if trip.request.any_platform else manifest.platform),
                trip.waits,
                pauses=self._pauses,
                attempts=settings.transfer_attempts,
                sleep=turn.sleep,
            )
        trip.duration_ms = sending.elapsed_ms
        self._resources.metrics.add("total_bytes_transferred", upload.size_bytes)
        return receipt

    async def _attempt(self, trip: TransferState, upload: PackageUpload, platform: str | None) -> Receipt:
        uploader = await self._resources.uploader()
        try:
            if platform is not None and not trip.fits:
                _insist_on_platform(platform, await _info(trip, uploader))
                trip.fits = True
            return await _upload(trip, upload, uploader)
        except DeploymentSenderError as error:
            trip.trouble = error
            _log.warning("attempt %d to send package %s failed: %s", trip.attempts, upload.package_id, error.message)
            raise


async def _info(trip: TransferState, uploader: PackageUploader) -> ReceiverInfo | None:
    try:
        return await uploader.info(trip.receiver_url)
    except DeploymentSenderError:
        trip.attempts += 1  # it has met what an upload would have met
        raise


def _insist_on_platform(platform: str, info: ReceiverInfo | None) -> None:
    """Refuse, before a byte is sent, what cannot run on the receiver's engine, as far as that is known."""
    engine = info.engine if info else None
    if engine is not None and engine.platform and not can_run(platform, engine.platform):
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"the image is for {platform}, and the receiver's engine runs {engine.platform}; nothing was sent",
            recovery=f"Package it for {engine.platform} (platform, --platform), or send it all the same (any_platform,"
            " --any-platform).",
            retry=False,
        )


async def _upload(trip: TransferState, upload: PackageUpload, uploader: PackageUploader) -> Receipt:
    trip.attempts += 1
    attempt = Attempt()

    def on_sent(done_bytes: int) -> None:
        attempt.sent(done_bytes)
        trip.tell(Progress(stage="upload", done_bytes=done_bytes, total_bytes=upload.size_bytes))

    receipt = await uploader.send(upload, on_sent)
    trip.took(receipt, upload, attempt)
    return receipt


def _output(trip: TransferState, error: DeploymentSenderError | None = None) -> ModelPackageTransferOutput:
    """Make the output, which for a failed transfer also says what did happen."""
    receipt = trip.receipt
    return ModelPackageTransferOutput(
        **(failure(error) if error else {"success": True}),
        transfer_success=error is None,
        correlation_id=trip.request.correlation_id,
        package_id=trip.request.package_id,
        remote_deployment_id=receipt and receipt.deployment_id,
        deployment_status=trip.state.status if trip.state else receipt and receipt.status,
        deployment_continues=trip.continues,
        checksum_verified=receipt and receipt.checksum_verified,
        transfer_duration_ms=trip.duration_ms,
        transfer_throughput_mbps=trip.throughput_mbps,
        bytes_transferred=trip.bytes_transferred,
        attempts=trip.attempts,
        stages_ms=trip.span.stages_ms,
    )
