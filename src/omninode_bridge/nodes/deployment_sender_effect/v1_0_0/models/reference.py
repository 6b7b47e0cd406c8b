r"""Image references: the one place that knows their grammar and how to spell them in full.

The grammar is that of distribution/reference (github.com/distribution/reference, regexp.go and normalize.go): a
reference is `name[:tag][@digest]`, a name is `[domain/]path`, at most 255 characters when spelled in full (Engine 20.10
counts the domain, newer ones do not); a tag is `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
"""

import re
from dataclasses import dataclass
from typing import Self

__all__ = ["DEFAULT_DOMAIN", "ImageReference", "check_image_name", "check_image_tag", "split_tag"]

DEFAULT_DOMAIN = "docker.io"
"""The domain of a name that has none."""

_OLD_DOMAIN = "index.docker.io"  # normalize.go, legacyDefaultDomain
_LIBRARY = "library"  # normalize.go, officialRepoName: put before a path of one part there
_DEFAULT_TAG = "latest"
_NAME_MAX_CHARACTERS = 255

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?", re.ASCII)
_ANCHORED_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A reference in its parts; equal for all spellings of one reference.

    Attributes:
        domain: Of the registry, with a port if there is one.
        path: Of the repository there.
        tag: `latest` if the reference has neither tag nor digest; None if it has a digest only.
        digest: `sha256:...`; None if the reference has none.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split a reference; what is not one by the grammar is split all the same, and not checked."""
        whole, _, digest = text.partition("@")
        name, tag = split_tag(whole)
        domain, path = _split_domain(name)
        if domain == _OLD_DOMAIN:
            domain = DEFAULT_DOMAIN
        if domain == DEFAULT_DOMAIN and "/" not in path:
            path = f"{_LIBRARY}/{path}"
        return cls(domain, path, _DEFAULT_TAG if tag is None and not digest else tag, digest or None)

    @property
    def name(self) -> str:
        """The name in full: `docker.io/library/hello`."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        """Spell it in full: `hello` as `docker.io/library/hello:latest`."""
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return self.name + tag + digest


def split_tag(reference: str) -> tuple[str, str | None]:
    """Split `name[:tag]` into the name as it is spelled and the tag; the colon of a port is part of the name."""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, None)


def _split_domain(name: str) -> tuple[str, str]:
    """Split a name as normalize.go, splitDockerDomain, does: what is before the first slash may be part of the path."""
    head, slash, tail = name.partition("/")
    is_domain = bool(slash) and (any(c in head for c in ".:") or head == "localhost" or head != head.lower())
    return (head, tail) if is_domain else (DEFAULT_DOMAIN, name)


def check_image_tag(tag: str) -> str:
    """Return the tag.

    Raises:
        ValueError: It is not one by the grammar.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError("an image tag has 1 to 128 characters of A-Z a-z 0-9 _ . - and does not start with . or -")
    return tag


def check_image_name(name: str) -> str:
    """Return the name of an image, without tag and digest, as it is spelled.

    Raises:
        ValueError: It is not one by the grammar.
    """
    domain, path = _split_domain(name)
    if len(ImageReference.parse(name).name) > _NAME_MAX_CHARACTERS:
        raise ValueError(
            f"a container name has at most {_NAME_MAX_CHARACTERS} characters, those of {DEFAULT_DOMAIN}/{_LIBRARY}/"
            " included where no registry is named"
        )
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise ValueError(
            "a container name is lower-case letters and digits, joined by one . or _, by __ or by dashes, in parts"
            " joined by /, with a registry host before it if wanted (and the tag belongs in image_tag)"
        )
    if _ANCHORED_ID.fullmatch(name):
        raise ValueError("a container name must not be 64 hex digits: Docker takes that for an image id")
    return name
