r"""Field types that several models share.

The reference grammar is that of distribution/reference (github.com/distribution/reference, regexp.go and
normalize.go): a name is `[domain/]path`, at most 255 characters; a tag is `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
"""

import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator

__all__ = ["SUFFIXES", "Checksum", "Compression", "ContainerName", "CorrelationId", "ImageTag", "PackageId", "WaitFor"]

_NAME_MAX_CHARACTERS = 255
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?", re.ASCII)
_ANCHORED_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CORRELATION_ID = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII)


def _image_tag(value: str) -> str:
    if not _TAG.fullmatch(value):
        raise ValueError("an image tag has 1 to 128 characters of A-Z a-z 0-9 _ . - and does not start with . or -")
    return value


def _container_name(value: str) -> str:
    head, slash, tail = value.partition("/")
    # normalize.go, splitDockerDomain: the part before the first slash is a host only if it looks like one.
    has_domain = bool(slash) and (any(c in head for c in ".:") or head == "localhost" or head != head.lower())
    path = tail if has_domain else value
    if len(value) > _NAME_MAX_CHARACTERS:
        raise ValueError(f"a container name has at most {_NAME_MAX_CHARACTERS} characters")
    if (has_domain and not _DOMAIN.fullmatch(head)) or not _PATH.fullmatch(path):
        raise ValueError(
            "a container name is lower-case letters and digits, joined by one . or _, by __ or by dashes, in parts"
            " joined by /, with a registry host before it if wanted (and the tag belongs in image_tag)"
        )
    if _ANCHORED_ID.fullmatch(value):
        raise ValueError("a container name must not be 64 hex digits: Docker takes that for an image id")
    return value


def _package_id(value: str) -> str:
    try:
        parsed = UUID(value)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != value:
        raise ValueError("a package id is a UUID as package_container answers it, 36 characters in lower case")
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


ContainerName = Annotated[str, AfterValidator(_container_name)]
ImageTag = Annotated[str, AfterValidator(_image_tag)]
PackageId = Annotated[str, AfterValidator(_package_id)]
Checksum = Annotated[str, AfterValidator(_checksum)]
CorrelationId = Annotated[str, AfterValidator(_correlation_id)]
Compression = Literal["gzip", "zstd", "none"]
WaitFor = Literal["received", "loaded", "running"]

# Of package files, by which the tools know them.
SUFFIXES: dict[Compression, str] = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar"}
