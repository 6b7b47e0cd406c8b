"""Handler of `transfer_package`: validate the request, send the package and follow it, map the result to an output."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ..concurrency import Turn
from ..errors import DeploymentSenderError, ErrorCode, InvalidInputError, OperationError
from ..models import ModelPackageTransferInput, ModelPackageTransferOutput
from ..ports import DeployTarget, PackageContent, ProgressCallback, Receipt
from ..resources import Resources
from ..telemetry.metrics import Span
from ..transfers.attempt import AttemptLimits, PackageSender, TransferState
from ..transfers.follow import Follower
from ..transfers.retrying import Pauses
from ..transfers.source import open_package, require_checksum, verify_while_sending
from .outcome import errors_to_output, failure

if TYPE_CHECKING:
    from ..store.packages import StoredPackage

__all__ = ["TransferPackageHandler"]

_log = logging.getLogger(__name__)


class TransferPackageHandler:
    """Sends packages of the store to receivers.

    Args:
        resources: Shared by all handlers.
        pauses: Between attempts, and between status requests that fail.
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
            request: Which package, and to which receiver.
            on_progress: Called on the loop's thread with the bytes sent in each attempt, each retry, and each status of
                the deployment.

        Returns:
            The receiver's receipt and the deployment's status, or the failure: REMOTE_UNREACHABLE, TRANSFER_FAILED,
            CHECKSUM_MISMATCH, PACKAGE_TOO_LARGE.

        Raises:
            InvalidInputError: The request is wrong; nothing was sent.
        """
        state, url = TransferState(on_progress or (lambda _: None)), self._receiver_url(request)
        return await errors_to_output(
            self._transfer(request, url, state), partial(_output, request, state), storage=ErrorCode.TRANSFER_FAILED
        )

    def _receiver_url(self, request: ModelPackageTransferInput) -> str:
        url = request.remote_receiver_url or self._resources.settings.default_receiver_url
        if url is None:
            raise InvalidInputError(
                "no receiver is named",
                recovery="Give remote_receiver_url in the input, or set DEFAULT_RECEIVER_URL.",
            )
        return url

    async def _transfer(
        self, request: ModelPackageTransferInput, url: str, state: TransferState
    ) -> ModelPackageTransferOutput:
        target = (await self._resources.targets()).open(url)
        try:
            await target.check()
            package = await self._open(request)
            with self._resources.metrics.span("transfers", _subject(request)) as span:
                state.stages_ms = span.stages_ms
                with package:
                    receipt = await self._send(request, package, target, state, span)
                await self._follow(request, receipt, target, state, span)
        finally:
            await target.close()
        return _output(request, state)

    async def _open(self, request: ModelPackageTransferInput) -> "StoredPackage":
        try:
            return await open_package(await self._resources.store(), request)
        except InvalidInputError:
            raise
        except OperationError as error:
            for counter in ("total_transfers", "failed_transfers"):  # the span that counts has not begun
                self._resources.metrics.add(counter, 1)
            _log.warning("transfers of %s failed before anything was sent: %s", _subject(request), error.message)
            raise

    async def _send(
        self,
        request: ModelPackageTransferInput,
        package: "StoredPackage",
        target: DeployTarget,
        state: TransferState,
        span: Span,
    ) -> Receipt:
        """Send the package until the receiver has it, when it is this transfer's turn, and verify it meanwhile."""
        manifest, settings = package.manifest, self._resources.settings
        require_checksum(manifest, request.package_checksum)
        verify = manifest.verify_checksum if request.verify_checksum is None else request.verify_checksum
        limits = AttemptLimits(
            request.transfer_timeout_seconds or settings.transfer_timeout_seconds,
            settings.transfer_attempts,
            self._pauses,
        )
        async with Turn(self._turns) as turn, verify_while_sending(package, span, verify=verify) as verified:
            content = PackageContent(
                manifest.identity,
                package.file,
                manifest.filename,
                verify,
                request.correlation_id or manifest.correlation_id,
                verified,
            )
            platform = None if request.any_platform else manifest.platform
            receipt = await PackageSender(target, content, state, platform).send(limits, turn.sleep)
            self._resources.metrics.add("total_bytes_transferred", manifest.size_bytes)
        return receipt

    async def _follow(
        self,
        request: ModelPackageTransferInput,
        receipt: Receipt,
        target: DeployTarget,
        state: TransferState,
        span: Span,
    ) -> None:
        follower = Follower(target, state.record_deployment, state.report_retry, self._pauses)
        seconds = self._resources.settings.deployment_timeout_seconds
        with span.stage("load"):
            await follower.follow(receipt, wait_for=request.wait_for, seconds=seconds)


def _subject(request: ModelPackageTransferInput) -> str:
    return f"package {request.package_id}"


def _output(
    request: ModelPackageTransferInput, state: TransferState, error: DeploymentSenderError | None = None
) -> ModelPackageTransferOutput:
    """Return the output; that of a failed transfer also has what did succeed."""
    receipt = state.receipt
    return ModelPackageTransferOutput(
        **(failure(error) if error else {"success": True}),
        transfer_success=error is None,
        correlation_id=request.correlation_id,
        package_id=request.package_id,
        remote_deployment_id=receipt and receipt.deployment_id,
        deployment_status=state.deployment.status if state.deployment else receipt and receipt.status,
        deployment_continues=state.continues,
        checksum_verified=receipt and receipt.checksum_verified,
        transfer_duration_ms=state.duration_ms,
        transfer_throughput_mbps=state.throughput_mbps,
        bytes_transferred=state.bytes_transferred,
        attempts=state.attempts,
        stages_ms=state.stages_ms,
    )
