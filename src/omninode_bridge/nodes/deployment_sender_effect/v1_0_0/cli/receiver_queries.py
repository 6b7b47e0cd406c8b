"""Short questions to a receiver."""

import json
from typing import TYPE_CHECKING, Any

from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelPackageTransferInput
from ..protocol.form import DEPLOY_PATH
from ..settings import DeploymentSenderSettings

if TYPE_CHECKING:
    from ..clients.http.response import ReceiverResponse

__all__ = ["NO_PACKAGE_YET", "ask", "check_url", "page"]

_OK = 200  # RFC 9110
NO_PACKAGE_YET = "00000000-0000-0000-0000-000000000000"  # so that a URL can be checked before there is a package


def check_url(receiver_url: str) -> str:
    """Answer the URL if a transfer would take it. VALIDATION_ERROR."""
    ModelPackageTransferInput(package_id=NO_PACKAGE_YET, remote_receiver_url=receiver_url)
    return receiver_url


async def ask(settings: DeploymentSenderSettings, receiver_url: str, path: str) -> "ReceiverResponse":
    """GET a path of a receiver, signed if there is a key.

    Args:
        settings: Time-outs, key and files for TLS.
        receiver_url: One that `check_url` took.
        path: Such as `/healthz`.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR, REMOTE_UNREACHABLE or TRANSFER_FAILED.
    """
    from ..clients.http.target import HttpUploader  # noqa: PLC0415 - a client loads where it is opened

    seconds = settings.connect_timeout_seconds
    uploader = HttpUploader(settings.model_copy(update={"idle_timeout_seconds": seconds}))
    try:
        await uploader.check(receiver_url)
        return await uploader.ask(receiver_url.rstrip("/").removesuffix(DEPLOY_PATH) + path)
    finally:
        await uploader.close()


async def page(settings: DeploymentSenderSettings, receiver_url: str, path: str) -> dict[str, Any]:
    """GET a JSON object from a receiver; for the rest as `ask`, and TRANSFER_FAILED for every other answer."""
    from ..clients.http.error_responses import refusal  # noqa: PLC0415 - loaded by what asks

    answer = await ask(settings, receiver_url, path)
    if answer.status != _OK:
        raise refusal(answer)
    try:
        found = json.loads(answer.body) if answer.complete else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"{receiver_url} does not answer as a receiver does",
            recovery="Check the receiver's URL.",
        )
    return found
