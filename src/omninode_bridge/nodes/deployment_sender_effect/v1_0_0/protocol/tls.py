"""Both sides of TLS 1.2 and newer, made of the files that the settings name.

Messages name the setting and never its value: whoever put the key itself there does not want to read it in a log.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode

__all__ = ["client_context", "server_context"]

_PLAIN_HTTP = "HTTP_REQUEST"  # the one failure of which OpenSSL makes no alert, so that nobody would ever close


def client_context(
    ca_file: Path | None = None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Make a sender's side. Blocks: it reads files.

    Args:
        ca_file: Who may vouch for a receiver, in PEM form; this machine's trust store if None.
        client_cert: What to show to a receiver that asks for it, in PEM form with its chain.
        client_key: Its key in PEM form, without a password; in `client_cert` if None.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR, naming the setting.
    """
    _check_readable(ca_file=ca_file, client_cert=client_cert, client_key=client_key)
    with _told("ca_file holds no certificates in PEM form"):
        context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_cert is not None:
        _show(context, client_cert, client_key, "client_cert and client_key")
    return context


def server_context(tls_cert: Path, tls_key: Path | None = None, tls_client_ca: Path | None = None) -> ssl.SSLContext:
    """Make a receiver's side. Blocks: it reads files.

    Args:
        tls_cert: The certificate in PEM form, with its chain.
        tls_key: Its key in PEM form, without a password; in `tls_cert` if None.
        tls_client_ca: Who may vouch for a sender, in PEM form; a sender needs no certificate if None.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR, naming the setting.
    """
    _check_readable(tls_cert=tls_cert, tls_key=tls_key, tls_client_ca=tls_client_ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.sslobject_class = _TellingObject
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, tls_cert, tls_key, "tls_cert and tls_key")
    if tls_client_ca is not None:
        with _told("tls_client_ca holds no certificates in PEM form"):
            context.load_verify_locations(tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _TellingObject(ssl.SSLObject):
    """Lets the other side know why a handshake failed.

    asyncio closes the connection under the alert that OpenSSL has made of it (python/cpython issue 98078). When it is
    told to wait for more instead, it first sends what there is to send.
    """

    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as exc:
            if exc.reason == _PLAIN_HTTP:
                raise
            self._failed = exc
            raise ssl.SSLWantReadError from exc


def _check_readable(**files: Path | None) -> None:
    for setting, path in files.items():
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as exc:
            raise _wrong(f"the file that {setting} names cannot be read: {exc.strerror}") from exc


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None, settings: str) -> None:
    with _told(f"{settings} hold no certificate and key in PEM form that belong together, the key without a password"):
        # An empty password: with none at all, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")


@contextmanager
def _told(problem: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as exc:
        raise _wrong(f"{problem} ({exc.reason})" if exc.reason else problem) from exc


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.VALIDATION_ERROR, message, recovery="Let the setting name a PEM file that this user may read."
    )
