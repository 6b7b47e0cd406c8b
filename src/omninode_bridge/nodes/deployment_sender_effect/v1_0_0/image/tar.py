"""Reads a tar archive in one pass: each member, and its content where the caller wants it.

The formats are ustar and pax (POSIX.1-2008, `pax`), GNU long names (GNU tar manual, "Basic Tar Format") and the oldest
one, which is called v7. What two readers could understand differently is refused (docs/adr/0012).
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .errors import ArchiveCutShortError, ArchiveError

__all__ = ["ArchiveLimits", "Content", "Member", "TarReader", "check_padding"]

# The content of a file, in pieces of the archive's chunks.
Content: TypeAlias = Iterator[memoryview]

_BLOCK = tarfile.BLOCKSIZE
_KINDS: Mapping[bytes, Literal["file", "folder", "symlink", "hardlink"]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
_EXTENSIONS = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_GNU = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_NAMING = {"path", "linkpath", "size"}
# Octal digits, then blanks or NULs; or a positive base-256 number. Python and Go read anything else differently.
_SIZE = re.compile(rb" *[0-7]+[ \0]*|\x80.{11}", re.DOTALL)
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")
_DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)
_USTAR = b"ustar\x0000"
_WITHOUT_PREFIX = {b"ustar  \0", bytes(8)}
_PATH_MAX = 4096  # bytes: PATH_MAX of Linux, limits.h


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """The limits on an image archive; real ones stay far below.

    Attributes:
        members: Headers, those of extensions included.
        member_bytes: Size of one member.
        names_characters: Length of all names together.
        name_parts: Parts of one name between slashes; legacy archives have 2, OCI layouts 3.
        document_bytes: Size of one JSON document that is read.
        documents_bytes: Size of all of them together.
        values: Values in all documents together that are parsed. Python's parser lets no other thread run, and so many
            take it about 10 ms; a real configuration has some hundreds.
        layers: Of the image; Docker mounts 125 (moby, layer/layer_store.go) and podman 500 (containers/storage,
            drivers/overlay).
        unnamed_bytes: Size of all that no document names: attestations and the like.
        extension_bytes: Size of one pax or GNU extension; Go's reader has the same limit.
    """

    members: int = 100_000
    member_bytes: int = 1 << 40  # 1 TiB
    names_characters: int = 4 << 20  # 4 Mi characters
    name_parts: int = 16
    document_bytes: int = 1 << 20  # 1 MiB
    documents_bytes: int = 16 << 20  # 16 MiB
    values: int = 50_000
    layers: int = 500
    unnamed_bytes: int = 1 << 30  # 1 GiB
    extension_bytes: int = 1 << 20  # 1 MiB


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: Relative, without `.` and `..` parts; empty for the archive's root folder.
        kind: Archives with any other kind are refused.
        size: Bytes of content; 0 for all but files.
        target: The member that a link leads to, spelled like a name.
    """

    name: str
    kind: Literal["file", "folder", "symlink", "hardlink"]
    size: int = 0
    target: str = ""


class TarReader:
    """Reads the members of an archive from its bytes, which are taken when they are needed.

    Iterating gives each member with its content, which is empty for all but files. Content that was not read when the
    iteration goes on is passed over. No chunk behind the two blocks of zeros that end an archive is taken; what came in
    one chunk with them must be zeros, too.

    Args:
        chunks: The archive's bytes, split anyhow.
        limits: The limits on it.

    Attributes:
        taken_bytes: The archive's bytes so far; its size at the end.

    Raises:
        ArchiveError: While iterating: the archive breaks a rule, or, as ArchiveCutShortError, has no end.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview], limits: ArchiveLimits) -> None:
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")
        self._limits = limits
        self._headers = 0
        self._extensions: dict[str, str] = {}
        self.taken_bytes = 0

    def __iter__(self) -> Iterator[tuple[Member, Content]]:
        while True:
            block = self._read_exactly(_BLOCK)
            if not block.strip(b"\0"):
                self._check_end()
                return
            self._headers += 1
            if self._headers > self._limits.members:
                raise ArchiveError(f"the archive holds more than {self._limits.members} members")
            info = _parsed(block)
            if info.type in _EXTENSIONS:
                self._extend(info)
                continue
            member = self._member(info)
            content = self._content(member.size)
            yield member, content
            for _ in content:
                pass
            self._read_exactly(_padded(member.size) - member.size)

    def _read_up_to(self, max_bytes: int) -> memoryview:
        """Return the next bytes, `max_bytes` at most.

        Raises:
            ArchiveCutShortError: There are none.
        """
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ArchiveCutShortError("the archive is cut short")
            self._chunk = memoryview(chunk)
        piece, self._chunk = self._chunk[:max_bytes], self._chunk[max_bytes:]
        self.taken_bytes += len(piece)
        return piece

    def _read_exactly(self, size: int) -> bytes:
        block = bytearray()
        while len(block) < size:
            block += self._read_up_to(size - len(block))
        return bytes(block)

    def _content(self, size: int) -> Content:
        while size:
            piece = self._read_up_to(size)
            size -= len(piece)
            yield piece

    def _check_end(self) -> None:
        """Read the second block of zeros; the first was read."""
        if self._extensions:
            raise ArchiveError("the archive ends between a member's extension and the member")
        if self._read_exactly(_BLOCK).strip(b"\0"):
            raise ArchiveError("a block of zeros is between two members")
        check_padding(self._chunk)

    def _extend(self, info: tarfile.TarInfo) -> None:
        if not 0 < info.size <= self._limits.extension_bytes:
            raise ArchiveError(f"an extension header of {info.size} bytes")
        kind, content = info.type, self._read_exactly(_padded(info.size))[: info.size]
        if kind == tarfile.XGLTYPE:
            # Go ignores it, together with a pax header before it; Python applies it.
            if self._extensions or _NAMING & _pax_records(content).keys():
                raise ArchiveError("a global pax header names members, or is before one that names a member")
            return
        gnu = _GNU.get(kind)
        found = {gnu: _text(content.partition(b"\0")[0])} if gnu else _pax_records(content)
        # Of several, one reader takes all and another the last.
        if found.keys() & self._extensions.keys() or (self._extensions and not gnu):
            raise ArchiveError("a member has two extension headers of one kind")
        self._extensions |= found

    def _member(self, info: tarfile.TarInfo) -> Member:
        extensions, self._extensions = self._extensions, {}
        raw_name = extensions.get("path") or info.name
        name = self._name(raw_name)
        size = _size(extensions.get("size"), info.size)
        kind = _KINDS.get(info.type)
        if kind is None or (info.type == tarfile.AREGTYPE and raw_name.endswith("/")):  # a folder, for some
            raise ArchiveError(f"{name!r} is neither a file, a folder nor a link (type {info.type!r})")
        if size > self._limits.member_bytes or (size and kind != "file"):
            raise ArchiveError(f"{name!r} cannot have {size} bytes")
        if kind in {"file", "folder"}:
            return Member(name, kind, size)
        base = name.rpartition("/")[0] if kind == "symlink" else ""
        return Member(name, kind, target=self._target(base, extensions.get("linkpath") or info.linkname))

    def _name(self, raw: str) -> str:
        parts = _parts(raw)
        if raw.startswith("/") or ".." in parts:
            raise ArchiveError(f"{raw[:_PATH_MAX]!r} is outside the archive")
        if len(raw) > _PATH_MAX or len(parts) > self._limits.name_parts or "\0" in raw:
            raise ArchiveError(f"{raw[:_PATH_MAX]!r} is longer than a name may be, or holds a NUL")
        return "/".join(parts)

    def _target(self, base: str, raw: str) -> str:
        above, parts = _parts(base), _parts(raw)
        while parts[:1] == [".."] and above:
            del above[-1], parts[0]
        # A `..` behind a folder leads elsewhere where that folder is a link itself, so `_name` refuses it.
        root = "/" if raw.startswith("/") else ""
        return self._name(root + "/".join(above + parts))


def check_padding(data: bytes | memoryview) -> None:
    """Check the bytes behind the end of an archive.

    Raises:
        ArchiveError: It is not all zeros.
    """
    if bytes(data).strip(b"\0"):
        raise ArchiveError("something follows the end of the archive")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _parts(raw: str) -> list[str]:
    return [part for part in raw.split("/") if part not in {"", "."}]


def _parsed(block: bytes) -> tarfile.TarInfo:
    # With the magic and version of ustar, Python and Go read the last fields alike: a prefix of the name, then
    # nothing. With GNU's, Go reads times where Python reads the prefix; with v7's, Go reads nothing there; `star` puts
    # times inside the prefix.
    magic, prefix, unused = block[257:265], block[345:500].strip(b"\0"), block[500:].strip(b"\0")
    if unused or not (magic == _USTAR or (magic in _WITHOUT_PREFIX and not prefix)):
        raise ArchiveError("a header is of no format that image archives have")
    if not _SIZE.fullmatch(block[124:136]):
        raise ArchiveError("a member has an unreadable or negative size")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as exc:
        raise ArchiveError(f"a header is damaged: {exc}") from exc
    if info.isdir() and block[156:157] == tarfile.AREGTYPE:
        info.name += "/"  # Python removes it, and makes the file a folder
    info.type = block[156:157]
    return info


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise ArchiveError("a name is not UTF-8") from exc


def _pax_records(content: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    position = 0
    while position < len(content):
        length = _PAX_RECORD.match(content, position)
        end = position + int(length[1]) if length else 0
        record = content[length.end() : end] if length else b""
        key, equals, value = record.partition(b"=")
        if not (key and equals and end <= len(content) and record.endswith(b"\n")):
            raise ArchiveError("a pax header is damaged")
        name = _text(key)
        if name in records or name.startswith("GNU.sparse."):
            raise ArchiveError(f"a pax header holds {name!r}, or holds it twice")
        # Others, such as extended attributes, may hold any bytes, and change nothing here.
        records[name] = _text(value[:-1]) if name in _NAMING else ""
        position = end
    return records


def _size(pax: str | None, header: int) -> int:
    if not pax:
        return header
    if not _DECIMAL.fullmatch(pax):
        raise ArchiveError("a member has an unreadable or negative size")
    return int(pax)
