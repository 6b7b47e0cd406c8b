"""Requests that commands make of a receiver: a page of it, within the connect time-out."""

import json
from http import HTTPStatus
from typing import Any

from ..clients.http.error_responses import error_of
from ..clients.http.response import ReceiverResponse
from ..errors import TransferError
from ..models import ModelPackageTransferInput
from ..settings import DeploymentSenderSettings

__all__ = ["NO_PACKAGE_YET", "check_url", "get_json", "get_page"]

NO_PACKAGE_YET = "00000000-0000-0000-0000-000000000000"
"""Stands in for a package id, so that the rest of a request can be validated before there is a package."""


def check_url(receiver_url: str) -> str:
    """Return the URL if a transfer would accept it.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR.
    """
    ModelPackageTransferInput(package_id=NO_PACKAGE_YET, remote_receiver_url=receiver_url)
    return receiver_url


async def get_page(settings: DeploymentSenderSettings, receiver_url: str, path: str) -> ReceiverResponse:
    """`GET` a path of a receiver, signed if there is a key.

    Args:
        settings: Time-outs, key and files for TLS.
        receiver_url: One that `check_url` accepts.
        path: Such as `/healthz`.

    Raises:
        InvalidInputError: The settings do not allow this receiver.
        ReceiverUnreachableError: No connection.
        TransferError: The connection broke, or the response is of an unknown version of the protocol.
    """
    from ..clients.http.target import open_targets  # noqa: PLC0415 - a vendor's library loads where it is used

    timeout = {"idle_timeout_seconds": settings.connect_timeout_seconds}
    targets = await open_targets(settings.model_copy(update=timeout))
    try:
        target = targets.open(receiver_url)
        await target.check()
        return await target.get(path)
    finally:
        await targets.close()


async def get_json(settings: DeploymentSenderSettings, receiver_url: str, path: str) -> dict[str, Any]:
    """`GET` a JSON object of a receiver; arguments and errors are those of `get_page`.

    Raises:
        TransferError: Also for a status other than 200, and for any other body.
    """
    response = await get_page(settings, receiver_url, path)
    if response.status != HTTPStatus.OK:
        raise error_of(response)
    try:
        found = json.loads(response.body) if response.complete else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TransferError(f"{receiver_url} does not respond as a receiver does", recovery="Check the receiver's URL.")
    return found
