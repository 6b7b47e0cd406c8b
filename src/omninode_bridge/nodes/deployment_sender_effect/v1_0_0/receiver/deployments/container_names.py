"""Names of containers: one for each image name, and a temporary one that no image name leads to."""

import re

__all__ = ["container_name", "next_name"]

# Docker accepts names of two characters and more, [a-zA-Z0-9][a-zA-Z0-9_.-]+ (github.com/moby/moby,
# daemon/names/names.go). Without a registry host before it, an image's name has no upper-case letter
# (github.com/distribution/reference, regexp.go), so an upper-case letter can mark a character that was replaced.
_PLAIN = re.compile(r"[a-z0-9._-]", re.ASCII)
_ESCAPE = "X"
_NEXT = "Next"
_MIN_LENGTH = 2  # characters, by the same rule


def container_name(image_name: str) -> str:
    """Return the name of an image's container: the image's name where Docker accepts that, and unique in any case.

    A character that Docker refuses, such as `/`, becomes `X` and two hex digits, as `%` and two in a URL: `team/hello`
    becomes `teamX2fhello`. A name of one character gets an `X` after it.

    Args:
        image_name: ASCII, by the grammar of OCI references.
    """
    escaped = "".join(one if _PLAIN.fullmatch(one) else f"{_ESCAPE}{ord(one):02x}" for one in image_name)
    return escaped if len(escaped) >= _MIN_LENGTH else escaped + _ESCAPE


def next_name(name: str) -> str:
    """Return the name of a new container until it replaces the container `name`."""
    return f"{name}.{_NEXT}"
