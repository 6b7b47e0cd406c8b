"""What a receiver's answers mean (docs/receiver-protocol.md): a receipt, a state, or one of our errors."""

import json
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError

from ...errors import DeploymentSenderError, ErrorCode
from ...models.platform import Platform
from ...ports import DeploymentState, PackageUpload, Receipt, ReceiverEngine, ReceiverInfo
from ...protocol.info import EngineBody, InfoBody
from ...protocol.responses import ReceiptBody, StateBody
from .error_responses import RETRIED, refusal
from .response import ReceiverResponse, after_colon, printable, printable_lines

__all__ = ["ReceiverResponse", "read_info", "read_receipt", "read_state"]

M = TypeVar("M", bound=BaseModel)


def read_receipt(answer: ReceiverResponse, upload: PackageUpload, deploy_url: str) -> Receipt:
    """Read the answer to a package.

    Args:
        answer: As it came.
        upload: What was sent.
        deploy_url: Where it was sent; a relative `status_url` starts there.

    Raises:
        DeploymentSenderError: TRANSFER_FAILED, PACKAGE_TOO_LARGE, or CHECKSUM_MISMATCH when the receiver could not
            verify the package or tells another checksum.
    """
    body = _read(answer, ReceiptBody, {"deployment_id", "checksum_verified"})
    if not body.deployment_id.isprintable():
        raise _unusable(answer, "whose deployment_id cannot be printed")
    if body.checksum is not None and body.checksum.lower() != upload.checksum:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"the receiver got a package with the checksum {printable(body.checksum)} instead of {upload.checksum}",
        )
    if upload.verify_checksum and not body.checksum_verified:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            "the receiver took the package but did not verify its checksum, as was asked",
            recovery="Let the receiver check the BLAKE3, or transfer with verify_checksum=false.",
        )
    return Receipt(
        deployment_id=body.deployment_id,
        checksum_verified=body.checksum_verified,
        checksum=body.checksum,
        status=body.status,
        status_url=_absolute(deploy_url, body.status_url),
    )


def _absolute(deploy_url: str, status_url: str | None) -> str | None:
    try:
        return urljoin(deploy_url, status_url) if status_url else None
    except ValueError:
        return None


def read_state(answer: ReceiverResponse) -> DeploymentState:
    """Read the state of a deployment.

    Raises:
        DeploymentSenderError: TRANSFER_FAILED; worth another question whatever the receiver's trouble is (5xx), as it
            has the package already.
    """
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = refusal(answer)
        error.retry = True
        raise error
    body = _read(answer, StateBody, {"deployment_id", "status"})
    return DeploymentState(
        deployment_id=body.deployment_id,
        status=body.status,
        will_run=body.will_run,
        error_code=body.error_code and printable(body.error_code),
        error_message=body.error_message and printable_lines(body.error_message),
    )


def read_info(answer: ReceiverResponse) -> ReceiverInfo | None:
    """Read what a receiver says of itself; None where it says nothing: it is older, or of another make.

    Raises:
        DeploymentSenderError: TRANSFER_FAILED: it refuses the question, or may answer it later.
    """
    refused = answer.error and answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if refused or answer.status in RETRIED:
        raise refusal(answer)
    if answer.status != HTTPStatus.OK or not answer.complete:
        return None
    try:
        body = InfoBody.model_validate_json(answer.body)
    except ValidationError:
        return None
    return ReceiverInfo(
        version=printable(body.version),
        time=printable(body.time),
        engine=_engine(body.engine) if body.engine else None,
        engine_error=body.engine_error and printable_lines(body.engine_error),
        free_bytes=body.free_bytes,
        max_package_bytes=body.max_package_bytes,
        will_run=body.will_run,
    )


def _engine(body: EngineBody) -> ReceiverEngine:
    told = body.os and body.architecture
    platform = str(Platform.of(body.os, body.architecture, body.variant)) if told else ""
    return ReceiverEngine(printable(body.name), printable(body.version), printable(body.store), printable(platform))


def _read(answer: ReceiverResponse, model: type[M], needed: set[str]) -> M:
    """Read a 2xx answer; the further keys of a foreign receiver may mean something else, so they count if they fit."""
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise refusal(answer)
    found = _json_object(answer)
    try:
        return model.model_validate(found)
    except ValidationError as exc:
        wrong = {str(error["loc"][0]) for error in exc.errors()}
        if wrong & needed:
            raise _unusable(answer, f"whose {' and '.join(sorted(wrong & needed))} cannot be used") from exc
        return model.model_validate({key: value for key, value in found.items() if key not in wrong})


def _json_object(answer: ReceiverResponse) -> dict[str, Any]:
    if not answer.complete:
        raise _unusable(answer, "that does not end")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise _unusable(answer, "that is no JSON") from exc
    if not isinstance(found, dict):
        raise _unusable(answer, "that is no JSON object")
    return found


def _unusable(answer: ReceiverResponse, what: str) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED,
        f"the receiver gave {answer.title} with an answer {what}{after_colon(answer.words)}",
        recovery="Check that the URL is that of a receiver: docs/receiver-protocol.md tells what one answers.",
        retry=False,
    )
