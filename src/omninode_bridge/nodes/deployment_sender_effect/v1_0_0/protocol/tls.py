"""TLS 1.2 and newer for both sides, from the files that the settings name.

Messages name the setting and never its value, which may by mistake be the key itself and must not be in a log.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InvalidInputError

__all__ = ["client_context", "server_context"]

_PLAIN_HTTP = "HTTP_REQUEST"  # the one failure without an alert, after which neither side would close


def client_context(
    ca_file: Path | None = None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Return the TLS context of a sender. Blocks: it reads files.

    Args:
        ca_file: The CA certificates that receivers are checked against, in PEM form; those of this machine's trust
            store if None.
        client_cert: The certificate for receivers that ask for one, in PEM form with its chain.
        client_key: Its key in PEM form, without a password; in `client_cert` if None.

    Raises:
        InvalidInputError: A file cannot be used; the message names its setting.
    """
    _check_readable(ca_file=ca_file, client_cert=client_cert, client_key=client_key)
    with _map_ssl_errors("ca_file holds no certificates in PEM form"):
        context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_cert is not None:
        _load_certificate(context, client_cert, client_key, "client_cert and client_key")
    return context


def server_context(tls_cert: Path, tls_key: Path | None = None, tls_client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the TLS context of a receiver. Blocks: it reads files.

    Args:
        tls_cert: The certificate in PEM form, with its chain.
        tls_key: Its key in PEM form, without a password; in `tls_cert` if None.
        tls_client_ca: The CA certificates that senders are checked against, in PEM form; if None, a sender needs no
            certificate.

    Raises:
        InvalidInputError: A file cannot be used; the message names its setting.
    """
    _check_readable(tls_cert=tls_cert, tls_key=tls_key, tls_client_ca=tls_client_ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.sslobject_class = _AlertingSSLObject
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, tls_cert, tls_key, "tls_cert and tls_key")
    if tls_client_ca is not None:
        with _map_ssl_errors("tls_client_ca holds no certificates in PEM form"):
            context.load_verify_locations(tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _AlertingSSLObject(ssl.SSLObject):
    """Sends the other side the alert that says why a handshake failed.

    asyncio closes the connection before it sends that alert (python/cpython issue 98078). When the handshake asks for
    more bytes instead of failing, asyncio first sends what there is to send.
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
            raise _bad_file(f"the file that {setting} names cannot be read: {exc.strerror}") from exc


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None, settings: str) -> None:
    with _map_ssl_errors(
        f"{settings} hold no certificate and key in PEM form that belong together, the key without a password"
    ):
        # An empty password: without one, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(certificate, key, password="")


@contextmanager
def _map_ssl_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as exc:
        raise _bad_file(f"{problem} ({exc.reason})" if exc.reason else problem) from exc


def _bad_file(message: str) -> InvalidInputError:
    return InvalidInputError(message, recovery="Set it to a PEM file that this user can read.")
