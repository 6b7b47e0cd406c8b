"""Takes one upload: its form, its signature, its bytes; keeps the package or refuses it, and leaves nothing else."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request

from ...errors import DeploymentSenderError, ErrorCode
from ...image.docker_archive import ImageArchive
from ...protocol.form import UploadFields
from ...protocol.responses import ReceiptBody
from ...store.staging import Staged
from ..deployments.deployer import Deployer
from ..deployments.duplicates import DuplicateUploads, PackageConflictError
from ..deployments.packages import Packages
from ..deployments.record import Deployment
from ..limits import CHECKED_FIRST_MAX_BYTES, FORM_OVERHEAD_MAX_BYTES, DrainLimits
from ..state import ReceiverState
from .auth import RequestAuthenticator
from .connection import connection_of
from .direct_read import DirectBodyReader
from .errors import RefusedError
from .file_writer import HashingFileWriter
from .form import UploadForm, boundary_of
from .request_body import RequestBody
from .responses import EarlyResponse, error_response

__all__ = ["Uploads"]

_log = logging.getLogger(__name__)

_STORED = 201
_REPEATED = 200


class Uploads:
    """Takes packages, several at once.

    Args:
        shared: The receiver's own.
        gate: Checks signatures.
        packages: Reads them.
        images: Loads what was kept.
        duplicates: Knows what was kept before.

    Attributes:
        active: How many are arriving now.
    """

    def __init__(
        self,
        shared: ReceiverState,
        gate: RequestAuthenticator,
        packages: Packages,
        images: Deployer,
        duplicates: DuplicateUploads,
    ) -> None:
        self._settings = shared.settings
        self._workers = shared.workers
        self._deployments = shared.deployments
        self._counters = shared.counters
        self._gate = gate
        self._packages = packages
        self._images = images
        self._duplicates = duplicates
        limit = shared.settings.max_package_size_bytes + FORM_OVERHEAD_MAX_BYTES
        self._patience = DrainLimits(limit, max_seconds=None, idle_seconds=shared.settings.idle_timeout_seconds)
        self.active = 0

    async def answer(self, request: Request) -> EarlyResponse:
        """Take a package and answer: 201 when it was stored, 200 when it was there, an `ErrorBody` otherwise."""
        body = RequestBody(request.receive, self._settings.idle_timeout_seconds)
        try:
            status, deployment = await self._take(request, body)
        except ClientDisconnect:
            self._counters.add("uploads_broken_off_total")
            return error_response(RefusedError(400, "the client went away"))
        except DeploymentSenderError as exc:
            failed = exc.code is ErrorCode.BUILD_FAILED  # what the disk refuses
            self._counters.add("uploads_failed_total" if failed else "uploads_refused_total")
            answer = error_response(exc)
            level = logging.WARNING if failed else logging.INFO
            _log.log(level, "an upload was answered with %d: %s", answer.status_code, exc.message)
            body.listen_on()
            return answer.early(body)
        self._counters.add("uploads_stored_total" if status == _STORED else "uploads_repeated_total")
        return EarlyResponse(status, _receipt(deployment).model_dump()).early(body, self._patience)

    async def _take(self, request: Request, body: RequestBody) -> tuple[int, Deployment]:
        self._gate.check_header(request)  # who is not signed at all is not listened to any longer
        boundary = boundary_of(request.headers.get("Content-Type"))
        announced = request.headers.get("Content-Length", "0")
        self._check_size(int(announced) - FORM_OVERHEAD_MAX_BYTES)
        async with aclosing(body.chunks()) as chunks:
            connection = connection_of(request.scope)
            straight = (
                DirectBodyReader(connection, body, int(announced), self._workers) if connection.is_plain else None
            )
            form = UploadForm(boundary, chunks, straight)
            fields = UploadFields.read(await self._fields(form))
            size_bytes = await self._gate.admit_upload(request, fields)
            self._check_size(size_bytes or 0)
            with self._place(), connection.held():  # only who is let in may hold one
                return await self._take_file(form, fields, size_bytes)

    async def _fields(self, form: UploadForm) -> dict[str, str]:
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
    def _place(self) -> Iterator[None]:
        if self.active >= self._settings.max_concurrent_uploads:
            raise RefusedError(
                429,
                f"{self.active} uploads are under way, and no more are taken at once",
                recovery="Wait a moment and transfer again.",
                headers={"Retry-After": "1"},
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def _take_file(
        self, form: UploadForm, fields: UploadFields, size_bytes: int | None
    ) -> tuple[int, Deployment]:
        async with self._deployments.lock(fields.package_id):
            known = await self._find(fields)
        if known is not None:  # answered at once: a sender that listens need not send it all again
            return _REPEATED, known
        staged = await self._deployments.begin(str(uuid4()))
        try:
            deployment = await self._store(form, staged, fields, size_bytes)
            checked = await self._checked(staged, deployment)
            return await self._keep(staged, deployment, fields, checked)
        finally:
            await self._workers.run(staged.abort)

    async def _find(self, fields: UploadFields) -> Deployment | None:
        try:
            return await self._duplicates.find(fields)
        except PackageConflictError as exc:
            raise RefusedError(409, exc.message, code=ErrorCode.VALIDATION_ERROR, recovery=exc.recovery) from exc

    async def _store(
        self, form: UploadForm, staged: Staged, fields: UploadFields, size_bytes: int | None
    ) -> Deployment:
        intake = HashingFileWriter(staged.file, self._workers, self._check_size)
        try:
            await form.file(intake)
            checksum = await intake.finish()
        finally:
            await intake.stop()
            self._counters.add("upload_bytes_total", intake.size_bytes)
        if checksum != fields.checksum:
            raise DeploymentSenderError(
                ErrorCode.CHECKSUM_MISMATCH, f"the package has the BLAKE3 {checksum}, not {fields.checksum}"
            )
        if size_bytes not in {None, intake.size_bytes}:
            raise RefusedError(401, f"the package has {intake.size_bytes} bytes, and {size_bytes} were signed")
        return Deployment.new(staged.entry_id, fields, size_bytes=intake.size_bytes)

    async def _checked(self, staged: Staged, deployment: Deployment) -> ImageArchive | None:
        if (deployment.identity.size_bytes or 0) > CHECKED_FIRST_MAX_BYTES:
            return None  # read through before it is loaded; docs/adr/0008 tells why not here
        try:
            return await self._packages.check(staged.path, deployment)
        except OSError as exc:
            _log.warning("an arrived package cannot be read: %s", exc)
            raise RefusedError(500, "the receiver cannot read the package; its log tells why") from exc
        except DeploymentSenderError as exc:
            if exc.code is not ErrorCode.VALIDATION_ERROR:
                raise
            raise RefusedError(
                422, exc.message, code=exc.code, recovery="Package the image again, with the name that is sent."
            ) from exc

    async def _keep(
        self, staged: Staged, deployment: Deployment, fields: UploadFields, checked: ImageArchive | None
    ) -> tuple[int, Deployment]:
        async with self._deployments.lock(fields.package_id):
            known = await self._find(fields)
            if known is not None:  # it has arrived on another connection meanwhile
                return _REPEATED, known
            deployment = await self._deployments.keep(staged, deployment)
        _log.info(
            "%s: %s received, verified and stored, %d bytes",
            deployment.deployment_id,
            deployment.reference,
            deployment.identity.size_bytes,
        )
        self._images.submit(deployment, checked)
        return _STORED, deployment

    def _check_size(self, size_bytes: int) -> None:
        limit = self._settings.max_package_size_bytes
        if size_bytes > limit:
            raise DeploymentSenderError(
                ErrorCode.PACKAGE_TOO_LARGE, f"the receiver takes packages of up to {limit} bytes"
            )


def _receipt(deployment: Deployment) -> ReceiptBody:
    return ReceiptBody(
        deployment_id=deployment.deployment_id,
        checksum_verified=True,
        checksum=deployment.identity.checksum,
        status=deployment.status,
        status_url=f"deployments/{deployment.deployment_id}",  # relative, so that a path before /deploy is kept
        platform=deployment.identity.platform,
    )
