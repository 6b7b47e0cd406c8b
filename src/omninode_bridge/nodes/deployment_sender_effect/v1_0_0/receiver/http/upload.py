"""Handles one upload: its form, its signature, its bytes. Stores the package or refuses it, and leaves nothing else."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request

from ...errors import (
    ChecksumMismatchError,
    ErrorCode,
    InvalidInputError,
    OperationError,
    PackageTooLargeError,
    StorageError,
)
from ...image.docker_archive import ImageArchive
from ...protocol.form import UploadFields
from ...protocol.responses import ReceiptBody
from ...store.staging import Staged
from ...telemetry.metrics import Span
from ..deployments.deployer import Deployer
from ..deployments.duplicates import DuplicateUploads, PackageConflictError
from ..deployments.packages import Packages
from ..deployments.record import Deployment
from ..limits import CHECKED_FIRST_MAX_BYTES, FORM_OVERHEAD_MAX_BYTES, DrainLimits
from ..state import ReceiverState
from .auth import RequestAuthenticator
from .boundary import boundary_of
from .connection import connection_of
from .direct_read import DirectBodyReader
from .errors import RefusedError
from .file_writer import HashingFileWriter
from .form import UploadForm
from .request_body import RequestBody
from .responses import EarlyResponse, error_response

__all__ = ["Uploads"]

_log = logging.getLogger(__name__)

_STORED = 201
_REPEATED = 200


class Uploads:
    """Receives packages, several at once.

    Args:
        state: The receiver's state.
        authenticator: Checks signatures.
        packages: Checks small packages before they are stored.
        deployer: Loads what was stored.
        duplicates: Finds packages that were stored before.

    Attributes:
        active: How many uploads are arriving now.
    """

    def __init__(
        self,
        state: ReceiverState,
        authenticator: RequestAuthenticator,
        packages: Packages,
        deployer: Deployer,
        duplicates: DuplicateUploads,
    ) -> None:
        self._settings = state.settings
        self._workers = state.workers
        self._deployments = state.deployments
        self._metrics = state.metrics
        self._authenticator = authenticator
        self._packages = packages
        self._deployer = deployer
        self._duplicates = duplicates
        self._drain_limits = DrainLimits(
            state.settings.max_package_size_bytes + FORM_OVERHEAD_MAX_BYTES,
            max_seconds=None,
            idle_seconds=state.settings.idle_timeout_seconds,
        )
        self.active = 0

    async def handle(self, request: Request) -> EarlyResponse:
        """Receive a package and return the response: 201 when it was stored, 200 when it was there, or an error's."""
        span = Span()
        body = RequestBody(request.receive, self._settings.idle_timeout_seconds)
        try:
            status, deployment = await self._receive(request, body)
        except ClientDisconnect:
            self._metrics.add("uploads_broken_off_total")
            return error_response(RefusedError(400, "the client went away"))
        except OperationError as exc:
            return self._refuse(exc, body)
        self._metrics.add("uploads_stored_total" if status == _STORED else "uploads_repeated_total")
        if status == _STORED:
            self._metrics.observe("upload_duration_seconds", span.elapsed_ms / 1000)
            self._metrics.observe("upload_size_bytes", deployment.identity.size_bytes or 0)
        return EarlyResponse(status, _receipt(deployment).model_dump()).before_body(body, self._drain_limits)

    def _refuse(self, error: OperationError, body: RequestBody) -> EarlyResponse:
        failed = isinstance(error, StorageError)
        self._metrics.add("uploads_failed_total" if failed else "uploads_refused_total")
        response = error_response(error)
        level = logging.WARNING if failed else logging.INFO
        _log.log(level, "refused an upload with status %d: %s", response.status_code, error.message)
        body.expect_surplus()
        return response.before_body(body)

    async def _receive(self, request: Request, body: RequestBody) -> tuple[int, Deployment]:
        self._authenticator.check_header(request)  # before any of the body is read
        boundary = boundary_of(request.headers.get("Content-Type"))
        announced = int(request.headers.get("Content-Length", "0"))
        self._check_size(announced - FORM_OVERHEAD_MAX_BYTES)
        async with aclosing(body.chunks()) as chunks:
            connection = connection_of(request.scope)
            reader = DirectBodyReader(connection, body, announced, self._workers) if connection.is_plain else None
            form = UploadForm(boundary, chunks, reader)
            fields = UploadFields.read(await self._read_fields(form))
            size_bytes = await self._authenticator.authenticate_upload(request, fields)
            self._check_size(size_bytes or 0)
            with self._slot(), connection.hold():  # only an authenticated upload may keep its connection
                return await self._receive_package(form, fields, size_bytes)

    async def _read_fields(self, form: UploadForm) -> dict[str, str]:
        seconds = self._settings.idle_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await form.fields()
        except TimeoutError:
            raise RefusedError(
                408,
                f"the form's fields did not arrive within {seconds:g} s",
                recovery="Check the network between both machines, then transfer again.",
            ) from None

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self.active >= self._settings.max_concurrent_uploads:
            raise RefusedError(
                429,
                f"{self.active} uploads are in progress, the most that the receiver allows at once",
                recovery="Wait a moment and transfer again.",
                headers={"Retry-After": "1"},
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def _receive_package(
        self, form: UploadForm, fields: UploadFields, size_bytes: int | None
    ) -> tuple[int, Deployment]:
        async with self._deployments.lock(fields.package_id):
            known = await self._find_duplicate(fields)
        if known is not None:  # the response is sent at once, so that the sender may stop sending
            return _REPEATED, known
        staged = await self._deployments.begin(str(uuid4()))
        try:
            deployment = await self._write_file(form, staged, fields, size_bytes)
            archive = await self._check_if_small(staged, deployment)
            return await self._store(staged, deployment, fields, archive)
        finally:
            await self._workers.run(staged.abort)

    async def _find_duplicate(self, fields: UploadFields) -> Deployment | None:
        try:
            return await self._duplicates.find(fields)
        except PackageConflictError as exc:
            raise RefusedError(409, exc.message, code=ErrorCode.VALIDATION_ERROR, recovery=exc.recovery) from exc

    async def _write_file(
        self, form: UploadForm, staged: Staged, fields: UploadFields, size_bytes: int | None
    ) -> Deployment:
        writer = HashingFileWriter(staged.file, self._workers, self._check_size)
        try:
            await form.file(writer)
            checksum = await writer.finish()
        finally:
            await writer.wait_idle()
            self._metrics.add("upload_bytes_total", writer.size_bytes)
        if checksum != fields.checksum:
            raise ChecksumMismatchError(f"the package has the BLAKE3 {checksum}, not {fields.checksum}")
        if size_bytes not in {None, writer.size_bytes}:
            raise RefusedError(401, f"the package has {writer.size_bytes} bytes, but {size_bytes} were signed")
        return Deployment.new(staged.entry_id, fields, size_bytes=writer.size_bytes)

    async def _check_if_small(self, staged: Staged, deployment: Deployment) -> ImageArchive | None:
        if (deployment.identity.size_bytes or 0) > CHECKED_FIRST_MAX_BYTES:
            return None  # checked before it is loaded; docs/adr/0008 has the reason
        try:
            return await self._packages.check(staged.path, deployment)
        except OSError as exc:
            _log.warning("cannot read an uploaded package: %s", exc)
            raise RefusedError(500, "the receiver cannot read the package; its log gives the reason") from exc
        except InvalidInputError as exc:
            raise RefusedError(
                422,
                exc.message,
                code=ErrorCode.VALIDATION_ERROR,
                recovery="Package the image again, with the name that is sent.",
            ) from exc

    async def _store(
        self, staged: Staged, deployment: Deployment, fields: UploadFields, archive: ImageArchive | None
    ) -> tuple[int, Deployment]:
        async with self._deployments.lock(fields.package_id):
            known = await self._find_duplicate(fields)
            if known is not None:  # it has arrived on another connection in the meantime
                return _REPEATED, known
            deployment = await self._deployments.keep(staged, deployment)
        _log.info(
            "%s: %s received, verified and stored, %d bytes",
            deployment.deployment_id,
            deployment.reference,
            deployment.identity.size_bytes,
        )
        self._deployer.submit(deployment, archive)
        return _STORED, deployment

    def _check_size(self, size_bytes: int) -> None:
        limit = self._settings.max_package_size_bytes
        if size_bytes > limit:
            raise PackageTooLargeError(f"the receiver accepts packages of up to {limit} bytes")


def _receipt(deployment: Deployment) -> ReceiptBody:
    return ReceiptBody(
        deployment_id=deployment.deployment_id,
        checksum_verified=True,
        checksum=deployment.identity.checksum,
        status=deployment.status,
        status_url=f"deployments/{deployment.deployment_id}",  # relative, so that a path before /deploy is kept
        platform=deployment.identity.platform,
    )
