"""Reads a receiver's 2xx responses (docs/receiver-protocol.md): a receipt, a deployment's state, its own description.

Every other response is an error: see `error_responses`.
"""

import json
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError

from ...errors import ChecksumMismatchError, TransferError
from ...models.platform import Platform
from ...ports import DeploymentState, PackageContent, Receipt, ReceiverEngine, ReceiverInfo
from ...protocol.info import EngineBody, InfoBody
from ...protocol.responses import ReceiptBody, StateBody
from .error_responses import RETRIED, check_versions, error_of
from .response import ReceiverResponse
from .untrusted_text import after_colon, printable, printable_lines

__all__ = ["read_info", "read_receipt", "read_state"]

M = TypeVar("M", bound=BaseModel)


def read_receipt(response: ReceiverResponse, content: PackageContent, deploy_url: str) -> Receipt:
    """Read the response to an upload.

    Args:
        response: As it arrived.
        content: The package that was sent.
        deploy_url: The URL that it was sent to; a relative `status_url` is resolved against it.

    Raises:
        ChecksumMismatchError: The receiver did not verify the package, or reports another checksum.
        TransferError: It refuses the package, or the response is not a receipt.
        PackageTooLargeError: The receiver's limit.
    """
    body = _read(response, ReceiptBody, {"deployment_id", "checksum_verified"})
    checksum = content.identity.checksum
    if not body.deployment_id.isprintable():
        raise _unusable(response, "whose deployment_id has characters that cannot be printed")
    if body.checksum is not None and body.checksum.lower() != checksum:
        raise ChecksumMismatchError(
            f"the receiver got a package with the checksum {printable(body.checksum)} instead of {checksum}"
        )
    if content.verify_checksum and not body.checksum_verified:
        raise ChecksumMismatchError(
            "the receiver accepted the package but did not verify its checksum, as was requested",
            recovery="Configure the receiver to verify the BLAKE3, or transfer with verify_checksum=false.",
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


def read_state(response: ReceiverResponse) -> DeploymentState:
    """Read the state of a deployment.

    Raises:
        TransferError: It is not a state; worth a retry for every 5xx, as the receiver has the package already.
    """
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = error_of(response)
        error.retry = True
        raise error
    body = _read(response, StateBody, {"deployment_id", "status"})
    return DeploymentState(
        deployment_id=body.deployment_id,
        status=body.status,
        will_run=body.will_run,
        error_code=body.error_code and printable(body.error_code),
        error_message=body.error_message and printable_lines(body.error_message),
    )


def read_info(response: ReceiverResponse) -> ReceiverInfo | None:
    """Read a receiver's description of itself; None if it has none, as an older one or one of another make.

    Raises:
        TransferError: The receiver refuses the request, may respond to it later, or does not speak this sender's
            version of the protocol.
    """
    refused = response.error and response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if refused or response.status in RETRIED:
        raise error_of(response)
    if response.status != HTTPStatus.OK or not response.complete:
        return None
    try:
        body = InfoBody.model_validate_json(response.body)
    except ValidationError:
        return None
    check_versions(body.protocol_versions)
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
    is_known = body.os and body.architecture
    platform = str(Platform.of(body.os, body.architecture, body.variant)) if is_known else ""
    return ReceiverEngine(printable(body.name), printable(body.version), printable(body.store), printable(platform))


def _read(response: ReceiverResponse, model: type[M], required: set[str]) -> M:
    """Read a 2xx response. Another make of receiver may mean something else by the optional keys: ignore misfits."""
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise error_of(response)
    found = _json_object(response)
    try:
        return model.model_validate(found)
    except ValidationError as exc:
        invalid = {str(error["loc"][0]) for error in exc.errors()}
        if invalid & required:
            raise _unusable(response, f"whose {' and '.join(sorted(invalid & required))} cannot be used") from exc
        return model.model_validate({key: value for key, value in found.items() if key not in invalid})


def _json_object(response: ReceiverResponse) -> dict[str, Any]:
    if not response.complete:
        raise _unusable(response, "that is over 64 KiB")
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError) as exc:
        raise _unusable(response, "that is not JSON") from exc
    if not isinstance(found, dict):
        raise _unusable(response, "that is not a JSON object")
    return found


def _unusable(response: ReceiverResponse, reason: str) -> TransferError:
    return TransferError(
        f"the receiver responded {response.title} with a body {reason}{after_colon(response.text)}",
        recovery="Check that the URL is that of a receiver; docs/receiver-protocol.md defines its responses.",
        retry=False,
    )
