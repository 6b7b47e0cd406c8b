"""Packs a build context as docker's own client does, but into a file and in a way that can be aborted."""

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from ...dockerfile.ignore import IgnoreFileError, IgnoreRules, Verdict
from ...errors import BuildError, StorageError
from ...store.files import disk_errors
from ...store.folder import open_file, open_folder, open_subfolder
from .call import Call

__all__ = ["open_spool_file", "pack_context"]

_PACK = "pack the build context into"
_RECOVERY = (
    "Fix the file that the message names. If the context changed while it was packed, package again; list files that"
    " change all the time in .dockerignore."
)
_IGNORE_FILE = ".dockerignore"
_PATTERN_ADVICE = (
    "Fix that line. Patterns are described at https://docs.docker.com/build/concepts/context/#dockerignore-files;"
    " they separate folders by / on every system."
)
# 16 MiB: of a Dockerfile or .dockerignore, which are read into memory; real ones have some KB.
_TEXT_MAX_BYTES = 16 << 20


def open_spool_file() -> BinaryIO:
    """Open a temporary file to pack into. It has no name, so nothing is left of it however this process ends.

    It has no buffer, so that a full disk is reported by the write, and not once more by the close.

    Raises:
        StorageError: There is no folder for it, or the disk refuses it.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as exc:
        raise StorageError(
            f"the build context cannot be packed: {exc.strerror}",
            recovery="Free space in one of these folders, or set TMPDIR to a folder with space; then call again.",
        ) from exc
    with disk_errors(_PACK, folder):
        return tempfile.TemporaryFile(buffering=0)


def pack_context(call: Call, context: Path, dockerfile: str, file: IO[bytes]) -> bytes:
    """Write a folder as a tar archive, without what `.dockerignore` names; leave the file at its beginning.

    The rules are those of docker's client: sockets are left out, FIFOs and devices go in as such and are not read,
    links are not followed, owner and group are root, and the Dockerfile and `.dockerignore` are always in. A
    `<Dockerfile>.dockerignore` is read instead of `.dockerignore`, as BuildKit does. Nothing outside the folder is ever
    read, also if files in it are replaced by links meanwhile.

    Args:
        call: Aborts the packing.
        context: The folder.
        dockerfile: Relative to it.
        file: To write to.

    Returns:
        The Dockerfile, as it was packed.

    Raises:
        BuildError: A file cannot be read or has changed meanwhile, or a line of `.dockerignore` is not a pattern.
        StorageError: The disk is full.
    """
    try:
        with open_folder(context) as root, tarfile.open(mode="w", fileobj=_Spool(file, call)) as archive:
            packer = _Packer(call, archive, _rules(root, context, dockerfile), context, dockerfile)
            content = packer.add_dockerfile(root)
            packer.add_all(root)
    except (OSError, tarfile.TarError, ValueError, RecursionError) as exc:
        raise BuildError(f"The build context {context} could not be packed: {exc}", recovery=_RECOVERY) from exc
    file.seek(0)
    return content


def _rules(root: int, context: Path, dockerfile: str) -> IgnoreRules:
    """Read the patterns from inside the context; the file may be a link to another file of the context."""
    for name in (f"{dockerfile}{_IGNORE_FILE}", _IGNORE_FILE):
        try:
            real = Path(os.path.realpath(context / name, strict=True))
        except FileNotFoundError:
            continue
        if not real.is_relative_to(context):
            raise OSError(f"{name} is a link to {real}, outside the context; put a copy into the context")
        try:
            with _named(context, name), open_file(root, real.relative_to(context).as_posix()) as file:
                return IgnoreRules(_text(file))
        except IgnoreFileError as exc:
            raise BuildError(f"{name} of the build context {context}, {exc}", recovery=_PATTERN_ADVICE) from exc
    return IgnoreRules()


class _NamedError(OSError):
    """An error that names its file."""


@contextmanager
def _named(context: Path, path: str) -> Iterator[None]:
    """Add the file's path to the message of an error, once."""
    try:
        yield
    except _NamedError:
        raise
    except OSError as exc:
        raise _NamedError(f"cannot read {context / path} ({exc.strerror or exc})") from exc


def _text(file: BinaryIO) -> bytes:
    content = file.read(_TEXT_MAX_BYTES + 1)
    if len(content) > _TEXT_MAX_BYTES:
        raise OSError(f"it is larger than {_TEXT_MAX_BYTES} bytes")
    return content


class _Packer:
    """Adds the files that the rules do not exclude.

    Args:
        call: Aborts the packing.
        archive: Where they are added.
        rules: Of `.dockerignore`.
        context: The folder, for messages.
        dockerfile: Relative to the context; added even if the rules exclude it.
    """

    def __init__(
        self, call: Call, archive: tarfile.TarFile, rules: IgnoreRules, context: Path, dockerfile: str
    ) -> None:
        self._call = call
        self._archive = archive
        self._rules = rules
        self._context = context
        self._dockerfile = dockerfile
        self._linked: dict[tuple[int, int], str] = {}

    def add_dockerfile(self, root: int) -> bytes:
        """Add the Dockerfile and return its bytes, so that the text that is checked is the text that is built."""
        with _named(self._context, self._dockerfile), open_file(root, self._dockerfile) as file:
            content = _text(file)
            member = self._member(self._dockerfile, os.fstat(file.fileno()))
        member.size = len(content)
        self._archive.addfile(member, io.BytesIO(content))
        return content

    def add_all(self, root: int) -> None:
        """Add everything else; each folder is opened from the context's own descriptor, so few are open at a time."""
        pending: list[tuple[str, Verdict]] = [("", self._rules.verdict(""))]
        while pending:
            path, verdict = pending.pop()
            with _named(self._context, path), open_subfolder(root, path) as folder:
                if path and not verdict.ignored:
                    self._archive.addfile(self._member(path, os.fstat(folder)))
                subfolders = self._add_files(folder, path, verdict if path else None)
            pending.extend(reversed(subfolders))

    def _add_files(self, folder: int, above: str, verdict: Verdict | None) -> list[tuple[str, Verdict]]:
        """Add the files of a folder; return its subfolders that have to be opened."""
        with os.scandir(folder) as found:
            entries = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
        subfolders = []
        for name, is_folder in entries:
            self._call.raise_if_aborted()
            path = f"{above}/{name}" if above else name
            its_verdict = self._rules.verdict(path, verdict)
            if is_folder:
                if (
                    not its_verdict.ignored
                    or self._rules.has_exception_inside(path)
                    or self._dockerfile.startswith(f"{path}/")
                ):
                    subfolders.append((path, its_verdict))
            elif path != self._dockerfile and (path == _IGNORE_FILE or not its_verdict.ignored):
                with _named(self._context, path):
                    self._add(folder, name, path)
        return subfolders

    def _add(self, folder: int, name: str, path: str) -> None:
        """Add anything but a folder; it may have been replaced by the time it is opened."""
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            with open_file(folder, name) as content:
                member = self._member(path, os.fstat(content.fileno()))
                self._archive.addfile(member, content if member.isreg() else None)
        elif stat.S_ISLNK(status.st_mode):
            member = self._member(path, status)
            member.linkname = os.readlink(name, dir_fd=folder)
            self._archive.addfile(member)
        elif stat.S_ISDIR(status.st_mode):
            raise OSError("it was replaced by a folder meanwhile")
        elif not stat.S_ISSOCK(status.st_mode):
            self._archive.addfile(self._member(path, status))

    def _member(self, path: str, status: os.stat_result) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path)
        member.mode = stat.S_IMODE(status.st_mode)
        member.mtime = int(status.st_mtime)
        member.type = _TYPES[stat.S_IFMT(status.st_mode)]
        if member.isdev():
            member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if member.isreg():
            first = self._linked.setdefault((status.st_dev, status.st_ino), path) if status.st_nlink > 1 else path
            if first != path:
                member.type, member.linkname = tarfile.LNKTYPE, first
            else:
                member.size = status.st_size
        return member


_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class _Spool:
    """The file that the archive is written to; raises `AbortedError` once the call is aborted."""

    def __init__(self, file: IO[bytes], call: Call) -> None:
        self._call = call
        self._file = file
        self.tell = file.tell
        self.seek = file.seek
        self.read = file.read
        self.close = file.close

    def write(self, data: bytes) -> int:
        self._call.raise_if_aborted()
        left = data
        with disk_errors(_PACK, Path(tempfile.gettempdir())):
            while left:
                left = left[self._file.write(left) :]
        return len(data)
