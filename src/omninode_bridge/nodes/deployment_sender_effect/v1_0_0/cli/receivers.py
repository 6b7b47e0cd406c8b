"""Short questions to a receiver."""

import asyncio
import time
from typing import TYPE_CHECKING

from ..models import ModelPackageTransferInput
from ..protocol.signature import SignedRequest, new_nonce, sign
from ..protocol.upload import DEPLOY_PATH
from ..settings import DeploymentSenderSettings, split_signing_key

if TYPE_CHECKING:
    from ..clients.http_answers import Answer
    from ..clients.http_client import HttpClient

__all__ = ["NO_PACKAGE_YET", "ask", "check_url"]

NO_PACKAGE_YET = "00000000-0000-0000-0000-000000000000"  # so that a URL can be checked before there is a package


def check_url(receiver_url: str) -> str:
    """Answer the URL if a transfer would take it. VALIDATION_ERROR."""
    ModelPackageTransferInput(package_id=NO_PACKAGE_YET, remote_receiver_url=receiver_url)
    return receiver_url


async def ask(settings: DeploymentSenderSettings, receiver_url: str, path: str) -> "Answer":
    """GET a path of a receiver, signed if there is a key.

    Args:
        settings: Time-outs and key.
        receiver_url: One that `check_url` took.
        path: Such as `/healthz`.

    Raises:
        DeploymentSenderError: REMOTE_UNREACHABLE or TRANSFER_FAILED.
    """
    key = split_signing_key(settings.signing_key.get_secret_value()) if settings.signing_key else None

    def authorize(host: str, target: str) -> str:
        assert key  # noqa: S101 - only asked where there is one
        return sign(*key, SignedRequest.for_get(host, target), now=int(time.time()), nonce=new_nonce())

    url = receiver_url.rstrip("/").removesuffix(DEPLOY_PATH) + path
    client = await asyncio.to_thread(_client, settings.connect_timeout_seconds)
    try:
        return await client.exchange("GET", url, authorize=authorize if key else None)
    finally:
        await client.close()


def _client(timeout_seconds: float) -> "HttpClient":
    from ..clients.http_client import HttpClient  # noqa: PLC0415 - httpx loads where it is needed

    return HttpClient(timeout_seconds, timeout_seconds)
