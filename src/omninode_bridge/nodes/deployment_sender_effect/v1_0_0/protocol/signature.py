"""Signed requests: HMAC-SHA256 (RFC 2104, FIPS 180-4) over everything that changes what a receiver does.

The signed text is one line `name=value` for each field of `SignedRequest`, after the scheme, the key's id, the time
and the nonce (docs/receiver-protocol.md has a worked example). Values are printable ASCII, so none can hold the
newline that ends its line, and no two requests have the same text. The bytes of a package are covered by its checksum:
a receiver that checks signatures must check the checksum too.
"""

import hmac
import re
import secrets
from dataclasses import dataclass, fields
from typing import Self

from .form import UploadFields
from .hosts import normal_host

__all__ = [
    "ALLOWED_CLOCK_SKEW_SECONDS",
    "SCHEME",
    "Credentials",
    "SignatureError",
    "SignedRequest",
    "new_nonce",
    "parse_authorization",
    "sign",
    "verify",
]

SCHEME = "Deployment-HMAC-SHA256"
ALLOWED_CLOCK_SKEW_SECONDS = 300
"""How far the clocks of signer and verifier may differ, in either direction; nonces are remembered at least as long."""

_PARAMETER = re.compile(r'[ \t]*([a-z_]+)="([!#-\[\]-~]*)"[ \t]*', re.ASCII)
_LINE_NAMES = {"announced_digest": "image_id"}  # where a line is not named as the attribute
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)
_SHAPES = {
    "key_id": re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII),
    "time": re.compile(r"[0-9]{1,12}", re.ASCII),
    "nonce": re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII),
    "size": re.compile(r"[0-9]{1,18}", re.ASCII),
    "signature": re.compile(r"[0-9a-f]{64}", re.ASCII),
}


class SignatureError(ValueError):
    """A request is not signed, or its signature is wrong; the message holds no secret and may be sent to the client."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Everything that a signature covers, in the order of its lines; in a GET the fields of an upload are empty.

    Attributes:
        method: As on the request line.
        host: The `Host` header in its one spelling (`normal_host`).
        path: As on the request line: percent-encoded, with the query if there is one.
        size: Bytes of the package file, in decimal.
        announced_digest: Its line is named `image_id`, as the form's field.
        verify_checksum: `true` or `false`.
    """

    method: str
    host: str
    path: str
    package_id: str = ""
    size: str = "0"
    checksum: str = ""
    container_name: str = ""
    image_tag: str = ""
    compression: str = ""
    announced_digest: str = ""
    verify_checksum: str = ""
    correlation_id: str = ""
    platform: str = ""

    @classmethod
    def for_upload(cls, host: str, path: str, fields: UploadFields, size_bytes: int) -> Self:
        """Return what is signed for a `POST` of a package; both sides build it from the parsed fields.

        Args:
            host: The `Host` header, without a port that is the scheme's default (RFC 9110 section 4.2.3).
            path: As on the request line.
            fields: The form's fields.
            size_bytes: The package file's size.
        """
        return cls("POST", normal_host(host), path, size=str(size_bytes), **fields.text_values())

    @classmethod
    def for_get(cls, host: str, path: str, method: str = "GET") -> Self:
        """Return what is signed for a `GET` or a `HEAD`, which have no body; `host` and `path` as for an upload."""
        return cls(method, normal_host(host), path)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A parsed `Authorization` header; none of it is trusted before `verify`.

    Attributes:
        time: When it was signed, in Unix seconds.
        size_bytes: Bytes of the package file, so that the signature can be checked before the file arrives.
        signature: 64 hex digits.
    """

    key_id: str
    time: int
    nonce: str
    size_bytes: int
    signature: str


def new_nonce() -> str:
    """Return a new nonce: 128 random bits in 22 characters."""
    return secrets.token_urlsafe(16)


def sign(key_id: str, secret: bytes, request: SignedRequest, *, now: int, nonce: str) -> str:
    """Sign a request.

    Args:
        key_id: The id of the key, by which the receiver finds it.
        secret: At least 32 bytes.
        request: The request that is signed.
        now: Unix seconds.
        nonce: 16 to 64 of `A-Z a-z 0-9 _ -`; never the same twice.

    Returns:
        The value of the `Authorization` header.

    Raises:
        SignatureError: A value holds a character that is not printable ASCII.
    """
    digest = _digest(key_id, secret, request, now, nonce)
    return f'{SCHEME} key_id="{key_id}", time="{now}", nonce="{nonce}", size="{request.size}", signature="{digest}"'


def parse_authorization(header: str) -> Credentials:
    """Parse an `Authorization` header (RFC 9110 section 11.4), strictly: every parameter once, quoted, and no other.

    Raises:
        SignatureError: It is not of this scheme, or malformed.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != SCHEME.lower():
        raise SignatureError(f"the request must be signed: Authorization: {SCHEME} ...")
    found: dict[str, str] = {}
    for part in rest.split(","):
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in found:
            raise SignatureError("the Authorization header cannot be read")
        found[match[1]] = match[2]
    if found.keys() != _SHAPES.keys() or not all(_SHAPES[name].fullmatch(found[name]) for name in found):
        raise SignatureError(f"the Authorization header must hold exactly {', '.join(_SHAPES)}, each in its form")
    return Credentials(found["key_id"], int(found["time"]), found["nonce"], int(found["size"]), found["signature"])


def verify(credentials: Credentials, secret: bytes, request: SignedRequest, *, now: int) -> None:
    """Check a signature, in constant time, and that it is fresh; the caller checks that the nonce is new.

    Args:
        credentials: The parsed header.
        secret: The bytes of the key that `credentials.key_id` names.
        request: As it was received; its `size` is the header's, which the caller compares with the file's.
        now: Unix seconds.

    Raises:
        SignatureError: A field is not what was signed, or the clocks differ too much.
    """
    try:
        digest = _digest(credentials.key_id, secret, request, credentials.time, credentials.nonce)
    except SignatureError:
        digest = ""
    if not hmac.compare_digest(digest, credentials.signature):
        raise SignatureError("the signature does not match: the key is another one, or a field was changed on the way")
    if abs(now - credentials.time) > ALLOWED_CLOCK_SKEW_SECONDS:
        raise SignatureError(
            f"the signature is {now - credentials.time} s old; the clocks of both machines must agree within"
            f" {ALLOWED_CLOCK_SKEW_SECONDS} s"
        )


def _digest(key_id: str, secret: bytes, request: SignedRequest, time: int, nonce: str) -> str:
    lines = [SCHEME, f"key_id={key_id}", f"time={time}", f"nonce={nonce}"]
    lines += [f"{_LINE_NAMES.get(field.name, field.name)}={getattr(request, field.name)}" for field in fields(request)]
    if not all(_PRINTABLE.fullmatch(line) for line in lines):
        raise SignatureError("only printable ASCII can be signed")
    return hmac.digest(secret, "".join(f"{line}\n" for line in lines).encode("ascii"), "sha256").hex()
