"""Packs a build context as docker's own client does, into a file of our own and so that it can be broken off."""

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
from ...errors import DeploymentSenderError, ErrorCode
from ...store.files import disk_errors
from ...store.folder import open_file, open_folder, open_subfolder
from .call import Call

__all__ = ["opened_spool", "pack_context"]

_PACK = "pack the build context into"
_RECOVERY = (
    "Fix what the message names. If something changed the context while it was packed, package again, or name in"
    " .dockerignore what always changes."
)
_IGNORE_FILE = ".dockerignore"
_ABOUT_PATTERNS = (
    "Fix that line. Patterns are described at https://docs.docker.com/build/concepts/context/#dockerignore-files;"
    " folders are divided by / on every system."
)
# Of a Dockerfile or .dockerignore, which are read into memory; thousands of times what one has.
_TEXT_BYTES = 16_777_216


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


def pack_context(call: Call, context: Path, dockerfile: str, file: IO[bytes]) -> bytes:
    """Write a folder as a tar archive, without what `.dockerignore` names; leave the file at its beginning.

    The rules are those of docker's client: sockets are left out, FIFOs and devices go in as such and are not read,
    links are not followed, owner and group are root, and the Dockerfile and `.dockerignore` are always in. Where
    `<Dockerfile>.dockerignore` is there, it is read in place of `.dockerignore`, as BuildKit does. Nothing outside
    the folder is ever read, whatever happens to the names in it meanwhile.

    Args:
        call: Breaks it off.
        context: The folder.
        dockerfile: Relative to it.
        file: To write to.

    Returns:
        The Dockerfile, as it was packed.

    Raises:
        DeploymentSenderError: BUILD_FAILED when something cannot be read, has changed meanwhile, a line of
            `.dockerignore` is no pattern, or the disk is full.
    """
    try:
        with open_folder(context) as root, tarfile.open(mode="w", fileobj=_Spool(file, call)) as archive:
            packer = _Packer(call, archive, _rules(root, context, dockerfile), context, dockerfile)
            content = packer.add_dockerfile(root)
            packer.add_all(root)
    except (OSError, tarfile.TarError, ValueError, RecursionError) as exc:
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED, f"The build context {context} could not be packed: {exc}", recovery=_RECOVERY
        ) from exc
    file.seek(0)
    return content


def _rules(root: int, context: Path, dockerfile: str) -> IgnoreRules:
    """Read the patterns from inside the context; a link to another file of it is fine."""
    for name in (f"{dockerfile}{_IGNORE_FILE}", _IGNORE_FILE):
        try:
            real = Path(os.path.realpath(context / name, strict=True))
        except FileNotFoundError:
            continue
        if not real.is_relative_to(context):
            raise OSError(f"{name} leads out of it, to {real}; put a copy into the context")
        try:
            with _named(context, name), open_file(root, real.relative_to(context).as_posix()) as file:
                return IgnoreRules(_text(file))
        except IgnoreFileError as exc:
            raise DeploymentSenderError(
                ErrorCode.BUILD_FAILED, f"{name} of the build context {context}, {exc}", recovery=_ABOUT_PATTERNS
            ) from exc
    return IgnoreRules()


class _NamedError(OSError):
    """An error that names its file."""


@contextmanager
def _named(context: Path, path: str) -> Iterator[None]:
    """Name what cannot be read, once."""
    try:
        yield
    except _NamedError:
        raise
    except OSError as exc:
        raise _NamedError(f"cannot read {context / path} ({exc.strerror or exc})") from exc


def _text(file: BinaryIO) -> bytes:
    content = file.read(_TEXT_BYTES + 1)
    if len(content) > _TEXT_BYTES:
        raise OSError(f"it is larger than {_TEXT_BYTES} bytes")
    return content


class _Packer:
    """Adds what the rules let in.

    Args:
        call: Breaks it off.
        archive: To add to.
        rules: Of `.dockerignore`.
        context: The folder, for messages.
        dockerfile: Relative to the context; in whatever the rules say.
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
        """Add the Dockerfile and return its bytes: those that are looked at are those that are built."""
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
        """Add what is in a folder; return the folders in it that are to be opened."""
        with os.scandir(folder) as found:
            entries = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
        subfolders = []
        for name, is_folder in entries:
            self._call.check()
            path = f"{above}/{name}" if above else name
            own = self._rules.verdict(path, verdict)
            if is_folder:
                if not own.ignored or self._rules.has_exception_inside(path) or self._dockerfile.startswith(f"{path}/"):
                    subfolders.append((path, own))
            elif path != self._dockerfile and (path == _IGNORE_FILE or not own.ignored):
                with _named(self._context, path):
                    self._add(folder, name, path)
        return subfolders

    def _add(self, folder: int, name: str, path: str) -> None:
        """Add what is no folder; it may be something else by the time it is opened."""
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
            raise OSError("it has become a folder")
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
