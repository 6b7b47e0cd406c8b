"""Packs a build context as docker-py does, into a file of our own and so that it can be broken off."""

import os
import re
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import IO, BinaryIO

from docker.utils.build import PatternMatcher

from ..errors import DeploymentSenderError, ErrorCode
from ..store.disk import disk_errors
from .engine_call import Call

__all__ = ["opened_spool", "pack_context"]

_PACK = "pack the build context into"
_RECOVERY = (
    "Mend what the message names. If something changed the context while it was packed, package again, or name in"
    " .dockerignore what always changes."
)
# O_NONBLOCK: a FIFO in the file's place must not hold the reader.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def opened_spool() -> BinaryIO:
    """Open a file to pack into, without a name: whatever ends this process, nothing is left of it.

    It has no buffer, so that a disk refuses where it is written, and not again where it is closed.

    Raises:
        DeploymentSenderError: BUILD_FAILED when there is no folder for it, or the disk refuses.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as exc:
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"the build context cannot be packed: {exc.strerror}",
            recovery="Make room in one of these folders, or set TMPDIR to one with room; then call again.",
        ) from exc
    with disk_errors(_PACK, folder):
        return tempfile.TemporaryFile(buffering=0)


def pack_context(call: Call, context: Path, dockerfile: str, file: IO[bytes]) -> None:
    """Write a folder as a tar archive, without what `.dockerignore` names; leave the file at its beginning.

    docker-py's own rules hold: sockets are left out, FIFOs and devices go in as such and are not read, links are not
    followed, and the Dockerfile and `.dockerignore` are always in. A `<Dockerfile>.dockerignore` is not looked for.

    Args:
        call: Breaks it off.
        context: The folder.
        dockerfile: Relative to it.
        file: To write to.

    Raises:
        DeploymentSenderError: BUILD_FAILED when something cannot be read, has changed meanwhile, or the disk is full.
    """
    try:
        names = []
        for name in PatternMatcher([*_ignored(context), f"!{dockerfile}"]).walk(context):
            call.check()
            names.append(name)
        with tarfile.open(mode="w", fileobj=_Spool(file, call)) as archive:
            for name in sorted(names):
                _add(archive, context / name, name)
    except (OSError, tarfile.TarError, ValueError, RecursionError, re.error) as exc:
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED, f"The build context {context} could not be packed: {exc}", recovery=_RECOVERY
        ) from exc
    file.seek(0)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add what is there; it may be something else by the time it is opened."""
    member = archive.gettarinfo(path, arcname=name)
    if member is None:  # a socket
        return
    if not member.isfile():
        archive.addfile(member)
        return
    try:
        with _opened(path) as content:
            archive.addfile(member, content)
    except OSError as exc:
        raise OSError(f"cannot read {path} ({exc.strerror or exc})") from exc


def _opened(path: Path) -> BinaryIO:
    content = open(os.open(path, _READ), "rb")  # noqa: PTH123, SIM115 - Path.open follows links
    if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
        content.close()
        raise OSError("it is no file any more")
    return content


def _ignored(context: Path) -> list[str]:
    """Read the patterns, as docker-py does, but never from a FIFO, and in UTF-8 whatever the locale is."""
    file = context / ".dockerignore"
    if not file.is_file():
        return []
    lines = (line.strip() for line in file.read_text("utf-8-sig", "surrogateescape").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class _Spool:
    """The file that the archive goes to; refuses to grow after an abort."""

    def __init__(self, file: IO[bytes], call: Call) -> None:
        self._call = call
        self._file = file
        self.tell = file.tell
        self.seek = file.seek
        self.read = file.read
        self.close = file.close

    def write(self, data: bytes) -> int:
        self._call.check()
        left = data
        with disk_errors(_PACK, Path(tempfile.gettempdir())):
            while left:
                left = left[self._file.write(left) :]
        return len(data)
