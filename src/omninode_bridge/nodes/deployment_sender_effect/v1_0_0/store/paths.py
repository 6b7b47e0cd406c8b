"""What may be read and where: nothing outside the folder that was named, whatever links say."""

import os
import re
import stat
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode

__all__ = ["check_context", "check_package_path", "inside"]

# What `docker build` takes for an address to fetch from (github.com/moby/buildkit, util/gitutil).
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@", re.ASCII)


def inside(folder: Path, candidate: Path) -> bool:
    """Tell whether a path lies in a folder by its spelling alone: no link is followed, the disk is not asked."""
    return Path(os.path.abspath(candidate)).is_relative_to(os.path.abspath(folder))  # noqa: PTH100 - Path.resolve follows links


def check_package_path(package_path: str, expected: Path) -> None:
    """Insist that a caller's path is that of the store's own file.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`: it is another one.
    """
    if os.path.abspath(package_path) != str(expected):  # noqa: PTH100 - Path.resolve follows links
        raise _wrong(f"package_path is not the file of this package; leave it out, or pass {expected}")


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
    if _ADDRESS.match(build_context):
        raise _wrong(f"build_context {build_context!r} is an address; fetch it into a folder and pass the folder")
    context = _real(build_context, f"build_context {build_context!r}", "pass the folder that holds what is built")
    if not context.is_dir():
        raise _wrong(f"build_context {build_context!r} is no folder; pass the folder that holds what is built")
    subject = f"dockerfile_path {dockerfile_path!r}"
    dockerfile = _real(os.path.join(context, dockerfile_path), subject, f"it is looked for in {context}")  # noqa: PTH118
    if not dockerfile.is_relative_to(context):
        raise _wrong(f"{subject} leads out of the build context {context}; put the Dockerfile into it")
    if not stat.S_ISREG(dockerfile.stat().st_mode):
        raise _wrong(f"{subject} is no regular file; pass the Dockerfile itself")
    return context, dockerfile.relative_to(context).as_posix()


def _real(path: str, subject: str, advice: str) -> Path:
    try:
        return Path(os.path.realpath(path, strict=True))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise _wrong(f"{subject} cannot be read ({reason}); {advice}") from exc


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message)
