"""Receivers over HTTP: a streamed multipart upload, signed if there is a key, and the questions after it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...errors import TransferError
from ...ports import DeploymentState, PackageContent, Receipt, ReceiverInfo
from ...protocol.form import DEPLOY_PATH, PACKAGE_PART, UploadFields, deploy_url
from ...protocol.hosts import normal_host
from ...protocol.info import INFO_PATH
from ...protocol.signature import SignedRequest, new_nonce, sign
from ...protocol.tls import client_context
from ...protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION
from ...settings import DeploymentSenderSettings, split_signing_key
from .address_policy import AddressPolicy
from .client import HttpClient
from .error_responses import check_protocol_version
from .multipart import MultipartBody
from .response import ReceiverResponse
from .success_responses import read_info, read_receipt, read_state
from .untrusted_text import printable

__all__ = ["HttpTarget", "HttpTargets", "RequestSigner", "open_targets"]


async def open_targets(settings: DeploymentSenderSettings) -> "HttpTargets":
    """Prepare the way to receivers; connects to nothing.

    Args:
        settings: Time-outs, key, files for TLS, and which receivers are allowed.

    Raises:
        InvalidInputError: The files for TLS cannot be used.
    """
    return await asyncio.to_thread(_open_targets, settings)


def _open_targets(settings: DeploymentSenderSettings) -> "HttpTargets":
    context = client_context(settings.ca_file, settings.client_cert, settings.client_key)
    client = HttpClient(
        settings.connect_timeout_seconds,
        settings.idle_timeout_seconds,
        context,
        AddressPolicy(settings.allowed_receivers),
        {PROTOCOL_HEADER: str(PROTOCOL_VERSION)},
    )
    key = settings.signing_key
    return HttpTargets(client, RequestSigner(*split_signing_key(key.get_secret_value())) if key else None)


@dataclass(frozen=True, slots=True)
class RequestSigner:
    """Signs requests with a key.

    Attributes:
        key_id: Names the key to the receiver.
        secret: At least 32 bytes.
    """

    key_id: str
    secret: bytes

    def authorization(self, request: SignedRequest) -> str:
        """Return the `Authorization` header of a request."""
        return sign(self.key_id, self.secret, request, now=int(time.time()), nonce=new_nonce())


class HttpTargets:
    """Opens `HttpTarget`s, which share one HTTP client.

    Args:
        client: Closed with this object.
        signer: None if requests are not signed.
    """

    def __init__(self, client: HttpClient, signer: RequestSigner | None = None) -> None:
        self._client = client
        self._signer = signer

    def open(self, url: str) -> "HttpTarget":
        """Return the receiver with this URL, as `http(s)://HOST[:PORT][/PATH]`, with or without `/deploy`."""
        return HttpTarget(url, self._client, self._signer)

    async def close(self) -> None:
        """Close all connections: calls in progress fail. Closing twice is safe."""
        await self._client.close()


class HttpTarget:
    """A `DeployTarget` that is a receiver of docs/receiver-protocol.md.

    Args:
        url: The receiver's URL.
        client: Sends the requests; not closed by this target.
        signer: None if requests are not signed.
    """

    def __init__(self, url: str, client: HttpClient, signer: RequestSigner | None) -> None:
        self._url = url
        self._client = client
        self._signer = signer
        self._closed = False

    @property
    def url(self) -> str:
        """The receiver's URL, as it was given."""
        return self._url

    async def check(self) -> None:
        """Check that the settings allow this receiver, as far as that is known before its name is resolved.

        Raises:
            InvalidInputError: Packages are never sent to such an address, or it is not in `allowed_receivers`.
        """
        await asyncio.to_thread(self._client.policy.check_url, self._url)

    async def info(self) -> ReceiverInfo | None:
        """Return how the receiver describes itself; None if it has no `GET /info`.

        Raises:
            ReceiverUnreachableError: No connection.
            TransferError: It refuses, or does not speak this sender's version of the protocol.
        """
        return read_info(await self.get(INFO_PATH))

    async def deploy(self, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        """Send a package once, from its start.

        Args:
            content: The package.
            on_sent: Called with the bytes of the file sent so far: 0 once connected, then after each piece.

        Returns:
            The receiver's receipt, its `status_url` made absolute. A receiver that has the package already may respond
            before all of it is sent.

        Raises:
            ReceiverUnreachableError: No connection.
            TransferError: The receiver refuses the package, or the connection broke.
            PackageTooLargeError: The receiver's limit.
            ChecksumMismatchError: The receiver got other bytes, or did not verify them; or what `content.verified`
                raises.
        """
        url = deploy_url(self._url)
        fields = UploadFields.of(
            content.identity, verify_checksum=content.verify_checksum, correlation_id=content.correlation_id
        )
        body = MultipartBody(fields.form(), PACKAGE_PART, content)
        async with aclosing(body.chunks(on_sent)) as chunks:
            response = await self._exchange(
                "POST",
                url,
                lambda host, target: SignedRequest.for_upload(host, target, fields, content.size_bytes),
                headers={"Content-Type": body.content_type, "Content-Length": str(body.length)},
                body=chunks,
            )
        return read_receipt(response, content, url)

    async def status(self, receipt: Receipt) -> DeploymentState:
        """Return the state of a deployment.

        Args:
            receipt: As `deploy` returned it; its URL is requested only on this receiver's origin (RFC 6454 section 4).

        Raises:
            ReceiverUnreachableError: No connection.
            TransferError: The URL is on another origin, the receiver refuses, or the connection broke.
        """
        url = receipt.status_url or ""
        if _origin(url) != _origin(self._url):
            raise TransferError(
                f"the receiver's status_url is not on the receiver itself and was not requested: {printable(url)}",
                recovery="Configure the receiver to return a relative status_url, or transfer with wait_for=received.",
                retry=False,
            )
        return read_state(await self._exchange("GET", url, SignedRequest.for_get))

    async def get(self, path: str) -> ReceiverResponse:
        """`GET` a page of the receiver, signed if there is a key.

        Args:
            path: Such as `/healthz`, below the receiver's own path.

        Raises:
            ReceiverUnreachableError: No connection.
            TransferError: The connection broke, or the response is of an unknown version of the protocol.
        """
        return await self._exchange(
            "GET", deploy_url(self._url).removesuffix(DEPLOY_PATH) + path, SignedRequest.for_get
        )

    async def close(self) -> None:
        """End the use of this target; twice is safe."""
        self._closed = True

    async def _exchange(
        self,
        method: str,
        url: str,
        describe: Callable[[str, str], SignedRequest],
        *,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> ReceiverResponse:
        if self._closed:
            raise TransferError("the target was closed on this side", retry=False)
        signer = self._signer
        authorize = (lambda host, path: signer.authorization(describe(host, path))) if signer else None
        response = await self._client.exchange(method, url, headers=headers, body=body, authorize=authorize)
        check_protocol_version(response)
        return response


def _origin(url: str) -> tuple[str, str] | None:
    """Return scheme, host and port, each in its one spelling; None for a URL with a password or that is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in parts.netloc else (parts.scheme, normal_host(parts.netloc, parts.scheme))
