"""The way to receivers over HTTP: a streamed multipart upload, signed if there is a key, and the questions after it."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import DeploymentState, PackageUpload, Receipt, ReceiverInfo
from ...protocol.form import DEPLOY_PATH, PACKAGE_PART, UploadFields, deploy_url
from ...protocol.hosts import normal_host
from ...protocol.info import INFO_PATH
from ...protocol.signature import SignedRequest, new_nonce, sign
from ...protocol.tls import client_context
from ...settings import DeploymentSenderSettings, split_signing_key
from .address_policy import AddressPolicy
from .multipart import MultipartBody
from .receiver_responses import read_info, read_receipt, read_state
from .response import ReceiverResponse, printable

if TYPE_CHECKING:
    from .client import HttpClient

__all__ = ["HttpUploader"]


class HttpUploader:
    """A `PackageUploader`; loads and connects to nothing until the first package.

    Args:
        settings: Time-outs, key, files for TLS, and who may be sent to.
    """

    def __init__(self, settings: DeploymentSenderSettings) -> None:
        self._settings = settings
        self._rules = AddressPolicy(settings.allowed_receivers)
        key = settings.signing_key
        self._key = split_signing_key(key.get_secret_value()) if key else None
        self._lock = asyncio.Lock()
        self._client: HttpClient | None = None
        self._closed = False

    async def check(self, receiver_url: str) -> None:
        """Insist that the settings let packages be sent there, as far as that shows before a name is resolved.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR: the address is never sent to or not on the list, or the files for
                TLS cannot be used.
        """
        await self._opened()
        await asyncio.to_thread(self._rules.check_url, receiver_url)

    async def info(self, receiver_url: str) -> ReceiverInfo | None:
        """Ask a receiver about itself.

        Args:
            receiver_url: One that `check` took.

        Returns:
            None where it has no such page.

        Raises:
            DeploymentSenderError: REMOTE_UNREACHABLE or TRANSFER_FAILED.
        """
        return read_info(await self.ask(deploy_url(receiver_url).removesuffix(DEPLOY_PATH) + INFO_PATH))

    async def send(self, upload: PackageUpload, on_sent: Callable[[int], None]) -> Receipt:
        """Make one attempt, from the start of the file.

        Args:
            upload: The open file and what is said of it.
            on_sent: Told the bytes of the file that were sent so far: 0 once connected, then after each piece.

        Returns:
            What the receiver answered, its `status_url` made absolute. A receiver that has the package already may
            answer before all of it was sent.

        Raises:
            DeploymentSenderError: REMOTE_UNREACHABLE, TRANSFER_FAILED, CHECKSUM_MISMATCH or PACKAGE_TOO_LARGE.
        """
        client = await self._opened()
        url = deploy_url(upload.receiver_url)
        fields = _fields(upload)
        body = MultipartBody(
            fields.form(), PACKAGE_PART, upload.filename, upload.file, upload.size_bytes, check=upload.check
        )
        async with contextlib.aclosing(body.chunks(on_sent)) as chunks:
            answer = await client.exchange(
                "POST",
                url,
                headers={"Content-Type": body.content_type, "Content-Length": str(body.length)},
                body=chunks,
                authorize=self._signer(
                    lambda host, target: SignedRequest.for_upload(host, target, fields, upload.size_bytes)
                ),
            )
        return read_receipt(answer, upload, url)

    async def state(self, receiver_url: str, status_url: str) -> DeploymentState:
        """Ask a receiver for the state of a deployment.

        Args:
            receiver_url: Where the package was sent.
            status_url: As the receipt told it; asked only if it is on the same origin (RFC 6454 section 4).

        Raises:
            DeploymentSenderError: REMOTE_UNREACHABLE or TRANSFER_FAILED.
        """
        if _origin(status_url) != _origin(receiver_url):
            raise DeploymentSenderError(
                ErrorCode.TRANSFER_FAILED,
                f"the receiver's status_url is not on the receiver itself and was not asked: {printable(status_url)}",
                recovery="Let the receiver tell a relative status_url, or transfer with wait_for=received.",
                retry=False,
            )
        return read_state(await self.ask(status_url))

    async def ask(self, url: str) -> ReceiverResponse:
        """`GET` a page of a receiver, signed if there is a key.

        Raises:
            DeploymentSenderError: REMOTE_UNREACHABLE or TRANSFER_FAILED.
        """
        client = await self._opened()
        return await client.exchange("GET", url, authorize=self._signer(SignedRequest.for_get))

    async def close(self) -> None:
        """Close every connection; what is under way fails, and twice is safe."""
        self._closed = True
        if self._client is not None:
            await self._client.close()

    async def _opened(self) -> "HttpClient":
        if self._closed:
            raise DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "the node was closed meanwhile", retry=False)
        async with self._lock:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> "HttpClient":
        with _without_command_line():
            from .client import HttpClient  # noqa: PLC0415

        settings = self._settings
        context = client_context(settings.ca_file, settings.client_cert, settings.client_key)
        return HttpClient(settings.connect_timeout_seconds, settings.idle_timeout_seconds, context, self._rules)

    def _signer(self, describe: Callable[[str, str], SignedRequest]) -> Callable[[str, str], str] | None:
        """Answer what makes the `Authorization` header of the `Host` header and the target, if there is a key."""
        if self._key is None:
            return None
        key_id, secret = self._key
        return lambda host, target: sign(
            key_id, secret, describe(host, target), now=int(time.time()), nonce=new_nonce()
        )


@contextlib.contextmanager
def _without_command_line() -> Iterator[None]:
    """Keep httpx from loading its own command line with click, rich and pygments: 0.4 s in which the loop stutters.

    httpx does without where those are not installed; `None` in `sys.modules` says that of one of its own modules.
    """
    if "httpx" in sys.modules:
        yield
        return
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop("httpx._main", None)


def _origin(url: str) -> tuple[str, str] | None:
    """Return scheme, host and port, each in its one spelling; None for what must not be asked, as with a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in parts.netloc else (parts.scheme, normal_host(parts.netloc, parts.scheme))


def _fields(upload: PackageUpload) -> UploadFields:
    return UploadFields(
        package_id=upload.package_id,
        checksum=upload.checksum,
        container_name=upload.container_name,
        image_tag=upload.image_tag,
        verify_checksum=upload.verify_checksum,
        correlation_id=upload.correlation_id,
        compression=upload.compression,
        image_id=upload.image_id,
        platform=upload.platform,
    )
