"""Field types that several models share."""

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, StrictStr

from .reference import check_image_name, check_image_tag

__all__ = [
    "SUFFIXES",
    "Checksum",
    "Compression",
    "ContainerName",
    "CorrelationId",
    "HostName",
    "ImageTag",
    "PackageId",
    "ReceiverPattern",
    "ReceiverUrl",
    "WaitFor",
]

_HOST = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
_HOST_NAME = re.compile(rf"(?:{_HOST}\.?|\[(?P<address>[0-9a-fA-F:.]+)\])(?::[0-9]{{1,5}})?", re.ASCII)
_HOST_PATTERN = re.compile(rf"(?:\*\.)?{_HOST}", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CORRELATION_ID = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII)


def _package_id(value: str) -> str:
    try:
        parsed = UUID(value)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != value:
        raise ValueError("a package id is a UUID as package_container returns it, 36 characters in lower case")
    return value


def _checksum(value: str) -> str:
    if not _CHECKSUM.fullmatch(value):
        raise ValueError(
            "a checksum is the BLAKE3 of the package file, 64 lower-case hex digits, as `b3sum FILE` prints"
        )
    return value


def _correlation_id(value: str) -> str:
    if not _CORRELATION_ID.fullmatch(value):
        raise ValueError("a correlation id has 1 to 128 printable ASCII characters and no space at either end")
    return value


def _receiver_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("the receiver's URL cannot be read") from None
    if not value.isascii() or any(c <= " " or c == "\x7f" for c in value):
        raise ValueError("the receiver's URL holds a blank or a character outside ASCII")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        raise ValueError("the receiver's URL is http://HOST[:PORT][/PATH] or https://...")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the receiver's URL must not hold a user name or password; use a signing key")
    if parts.query or parts.fragment:
        raise ValueError("the receiver's URL has no query and no fragment")
    return value


def _host_name(value: str) -> str:
    match = _HOST_NAME.fullmatch(value)
    if match is None or not (match["address"] is None or _is_ipv6(match["address"])):
        raise ValueError("a host name is NAME or NAME:PORT, as the Host header has it, without a scheme or a path")
    return value.lower()


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _receiver_pattern(value: str) -> str:
    in_brackets = value.startswith("[") and value.endswith("]")
    bare = value[1:-1] if in_brackets else value.removesuffix(".")
    try:
        return str(ipaddress.ip_network(bare))
    except ValueError:
        # Names end in a label that is not all digits (RFC 1123 section 2.1), so a mistyped address is no name.
        if not in_brackets and _HOST_PATTERN.fullmatch(bare) and not bare.rpartition(".")[2].isdigit():
            return bare.lower()
    raise ValueError(
        "a receiver is allowed by a host name, by *.SUFFIX, by an address, or by a network such as 10.0.0.0/8 (with no"
        " bits set behind the prefix), each without a scheme, port or path"
    )


ContainerName = Annotated[str, AfterValidator(check_image_name)]
ImageTag = Annotated[str, AfterValidator(check_image_tag)]
PackageId = Annotated[str, AfterValidator(_package_id)]
Checksum = Annotated[str, AfterValidator(_checksum)]
CorrelationId = Annotated[str, AfterValidator(_correlation_id)]
Compression = Literal["gzip", "zstd", "none"]
HostName = Annotated[str, AfterValidator(_host_name)]
ReceiverUrl = Annotated[StrictStr, AfterValidator(_receiver_url)]
ReceiverPattern = Annotated[str, AfterValidator(_receiver_pattern)]
WaitFor = Literal["received", "loaded", "running"]

# Of package files, by which the tools know them.
SUFFIXES: dict[Compression, str] = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar"}
