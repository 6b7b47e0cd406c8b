"""The build context: nothing outside the folder that was named is read, whatever links say."""

import os
import re
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode

__all__ = ["check_context"]

# What `docker build` takes for an address to fetch from (github.com/moby/buildkit, util/gitutil).
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@", re.ASCII)


def check_context(build_context: str, dockerfile_path: str) -> tuple[Path, str]:
    """Check a build's context and Dockerfile before anything happens; neither is opened.

    Args:
        build_context: A folder, or a link to one.
        dockerfile_path: Relative to the context, or absolute inside it.

    Returns:
        The context's real folder, and the Dockerfile's real path in it, relative, with forward slashes.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, telling what to do.
    """
    subject = f"build_context {build_context!r}"
    if _ADDRESS.match(build_context):
        raise _wrong(f"{subject} is an address; fetch it into a folder and pass the folder")
    context = _real(build_context, subject, "pass the folder that holds what is built")
    if not context.is_dir():
        raise _wrong(f"{subject} is no folder; pass the folder that holds what is built")
    subject = f"dockerfile_path {dockerfile_path!r}"
    dockerfile = _real(str(context / dockerfile_path), subject, f"it is looked for in {context}")
    if not dockerfile.is_relative_to(context):
        raise _wrong(f"{subject} leads out of the build context {context}; put the Dockerfile into it")
    if not dockerfile.is_file():
        raise _wrong(f"{subject} is no regular file; pass the Dockerfile itself")
    return context, dockerfile.relative_to(context).as_posix()


def _real(path: str, subject: str, advice: str) -> Path:
    try:
        real = os.path.realpath(path, strict=True)
        real.encode()
    except OSError as exc:
        raise _wrong(f"{subject} cannot be found ({exc.strerror}); {advice}") from exc
    except ValueError as exc:
        raise _wrong(f"{subject} leads to a name that is not UTF-8 or holds a NUL; rename it") from exc
    return Path(real)


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message)
