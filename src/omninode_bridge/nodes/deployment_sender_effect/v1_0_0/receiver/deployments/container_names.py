"""Names of containers: one for each image name, and one that no image name has."""

import re

__all__ = ["container_name", "next_name"]

# Docker takes names of two characters and more, [a-zA-Z0-9][a-zA-Z0-9_.-]+ (github.com/moby/moby,
# daemon/names/names.go). Without a registry host before it, an image's name has no upper-case letter
# (github.com/distribution/reference, regexp.go), so an upper-case one begins what stands for something else.
_PLAIN = re.compile(r"[a-z0-9._-]", re.ASCII)
_ESCAPE = "X"
_NEXT = "Next"
_SHORTEST = 2


def container_name(image_name: str) -> str:
    """Name the container of an image: as the image where Docker takes that, and never as another image's.

    A character that cannot stay, such as `/`, becomes `X` and two hex digits, as `%` and two in a URL: `team/hello`
    is `teamX2fhello`. A name of one character gets an `X` behind it.

    Args:
        image_name: ASCII, by the grammar of OCI references.
    """
    escaped = "".join(one if _PLAIN.fullmatch(one) else f"{_ESCAPE}{ord(one):02x}" for one in image_name)
    return escaped if len(escaped) >= _SHORTEST else escaped + _ESCAPE


def next_name(name: str) -> str:
    """Name the container that shall become `name` once it has proved itself."""
    return f"{name}.{_NEXT}"
