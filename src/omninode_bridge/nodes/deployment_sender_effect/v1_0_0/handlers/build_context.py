"""Checks a build context: nothing outside the given folder is read, even by way of links."""

import os
import re
from pathlib import Path

from ..errors import InvalidInputError

__all__ = ["check_context"]

# An address from which `docker build` would fetch its context (github.com/moby/buildkit, util/gitutil).
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@", re.ASCII)


def check_context(build_context: str, dockerfile_path: str) -> tuple[Path, str]:
    """Check a build's context and Dockerfile before the build; neither is opened.

    Args:
        build_context: A folder, or a link to one.
        dockerfile_path: Relative to the context, or absolute inside it.

    Returns:
        The context's real folder, and the Dockerfile's real path in it, relative, with forward slashes.

    Raises:
        InvalidInputError: One of them cannot be used; the message says what to do.
    """
    subject = f"build_context {build_context!r}"
    if _ADDRESS.match(build_context):
        raise InvalidInputError(f"{subject} is an address; download it into a folder and pass the folder")
    context = _real(build_context, subject, "pass the folder with the files of the build")
    if not context.is_dir():
        raise InvalidInputError(f"{subject} is not a folder; pass the folder with the files of the build")
    subject = f"dockerfile_path {dockerfile_path!r}"
    dockerfile = _real(str(context / dockerfile_path), subject, f"it must be in {context}")
    if not dockerfile.is_relative_to(context):
        raise InvalidInputError(f"{subject} is outside the build context {context}; move the Dockerfile into it")
    if not dockerfile.is_file():
        raise InvalidInputError(f"{subject} is not a regular file; pass the Dockerfile itself")
    return context, dockerfile.relative_to(context).as_posix()


def _real(path: str, subject: str, advice: str) -> Path:
    try:
        real = os.path.realpath(path, strict=True)
        real.encode()
    except OSError as exc:
        raise InvalidInputError(f"{subject} cannot be found ({exc.strerror}); {advice}") from exc
    except ValueError as exc:
        raise InvalidInputError(f"{subject} has a name that is not UTF-8 or contains a NUL byte; rename it") from exc
    return Path(real)
