"""A tar archive read as its bytes pass: members are told, their contents are counted and let go.

The formats are ustar and pax (POSIX.1-2008, `pax`) and GNU long names (GNU tar manual, "Basic Tar Format"); all
engines write one of them. Whatever two readers could understand differently is refused, because the engine's
reader (Go's archive/tar) is not this one.
"""

import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ArchiveError", "ArchiveLimits", "Member", "TarReader"]

_BLOCK = tarfile.BLOCKSIZE
_PADDED = ~(_BLOCK - 1)
_KINDS: Mapping[bytes, Literal["file", "folder", "symlink", "hardlink"]] = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
# Octal digits, then blanks or NULs; or a positive base-256 number. Python and Go differ on anything looser.
_SIZE = re.compile(rb" *[0-7]+[ \0]*|\x80.{11}", re.DOTALL)
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")
_PAX_NAMING = {"path", "linkpath", "size"}
_DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)


class ArchiveError(ValueError):
    """The bytes are not an archive of exactly one whole image, or not one that every engine reads the same way."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an image archive may hold at most; real ones stay far below.

    Attributes:
        members: Headers, extension headers included.
        member_bytes: Size of one member.
        names_bytes: Length of all names together.
        name_parts: Parts of one name between slashes.
        document_bytes: Size of one JSON document that is kept.
        documents_bytes: Size of all of them together.
        extension_bytes: Size of one pax or GNU extension; Go's reader has the same limit.
    """

    members: int = 100_000
    member_bytes: int = 1 << 40
    names_bytes: int = 16 << 20
    name_parts: int = 16
    document_bytes: int = 1 << 20
    documents_bytes: int = 16 << 20
    extension_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: Relative, without `.` and `..` parts; empty for the archive's own root folder.
        size: Bytes of content; 0 for all but files.
        target: What a link leads to, spelled like a name.
    """

    name: str
    kind: Literal["file", "folder", "symlink", "hardlink"]
    size: int = 0
    target: str = ""


class TarReader:
    """Reads an archive that is pushed in, split anyhow.

    Args:
        limits: What it may hold at most.
        on_member: Told each member, with the content of files up to `limits.document_bytes` and None for larger ones.
    """

    def __init__(self, limits: ArchiveLimits, on_member: Callable[[Member, bytes | None], None]) -> None:
        self._limits = limits
        self._on_member = on_member
        self._skip_bytes = 0
        self._held = bytearray()
        self._wanted_bytes = _BLOCK
        self._then: Callable[[bytes], None] = self._header
        self._headers = 0
        self._zero_blocks = 0
        self._pax: dict[str, str] | None = None
        self._gnu: dict[str, str] = {}

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            ArchiveError: They break a rule; the reader is of no more use then.
        """
        view = memoryview(chunk)
        while len(view):
            if self._zero_blocks == 2:  # noqa: PLR2004 - two blocks of zeros end an archive
                if bytes(view).strip(b"\0"):
                    raise ArchiveError("something follows the end of the archive")
                return
            if self._skip_bytes:
                step = min(self._skip_bytes, len(view))
                self._skip_bytes -= step
            else:
                step = min(self._wanted_bytes - len(self._held), len(view))
                self._held += view[:step]
                if len(self._held) == self._wanted_bytes:
                    block, self._held = bytes(self._held), bytearray()
                    self._then(block)
            view = view[step:]

    def finish(self) -> None:
        """Say that there are no more bytes.

        Raises:
            ArchiveError: The archive is cut short.
        """
        if self._zero_blocks != 2:  # noqa: PLR2004 - two blocks of zeros end an archive
            raise ArchiveError("the archive is cut short")

    def _want(self, size: int, then: Callable[[bytes], None]) -> None:
        self._wanted_bytes, self._then = size, then

    def _header(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self._zero_blocks += 1
            if self._pax is not None or self._gnu:
                raise ArchiveError("an extension header stands before the end of the archive")
            return
        if self._zero_blocks:
            raise ArchiveError("a block of zeros stands between two members")
        self._headers += 1
        if self._headers > self._limits.members:
            raise ArchiveError(f"the archive holds more than {self._limits.members} members")
        info = _parsed(block)
        if info.type in {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}:
            self._extension(info)
        else:
            self._member(info)

    def _extension(self, info: tarfile.TarInfo) -> None:
        if not 0 < info.size <= self._limits.extension_bytes:
            raise ArchiveError(f"an extension header has {info.size} bytes")

        def take(block: bytes) -> None:
            self._want(_BLOCK, self._header)
            self._extend(info.type, block[: info.size])

        self._want((info.size + _BLOCK - 1) & _PADDED, take)

    def _extend(self, kind: bytes, content: bytes) -> None:
        if kind in {tarfile.XHDTYPE, tarfile.XGLTYPE}:
            records = _pax_records(content)
            if any(key.startswith("GNU.sparse.") for key in records):
                raise ArchiveError("the archive holds a sparse file")
            if kind == tarfile.XHDTYPE:
                if self._pax is not None:
                    raise ArchiveError("a member has two pax headers")
                self._pax = records
            elif records.keys() & _PAX_NAMING:
                raise ArchiveError("a global pax header names members")
            return
        key = "path" if kind == tarfile.GNUTYPE_LONGNAME else "linkpath"
        if key in self._gnu:
            raise ArchiveError("a member has two long names")
        self._gnu[key] = _text(content.partition(b"\0")[0])

    def _member(self, info: tarfile.TarInfo) -> None:
        extensions, self._pax, self._gnu = ({**(self._pax or {}), **self._gnu}, self._pax, self._gnu), None, {}
        merged, pax, gnu = extensions
        if gnu and pax and pax.keys() & _PAX_NAMING:
            raise ArchiveError("a member has both a pax and a GNU name")
        kind = _KINDS.get(info.type)
        raw_name = merged.get("path") or info.name
        name = self._name(raw_name)
        if kind is None:
            raise ArchiveError(f"{raw_name!r} is neither a file, a folder nor a link (type {info.type!r})")
        size = _size(merged.get("size"), info.size)
        if size > self._limits.member_bytes or (size and kind != "file"):
            raise ArchiveError(f"{raw_name!r} cannot have {size} bytes")
        if not name and kind != "folder":
            raise ArchiveError("a member has no name")
        if kind == "file":
            self._file(Member(name, kind, size))
        elif kind == "folder":
            self._on_member(Member(name, kind), None)
        else:
            raw_target = merged.get("linkpath") or info.linkname
            self._on_member(Member(name, kind, target=_target(name, raw_target, kind)), None)

    def _name(self, raw: str) -> str:
        parts = [part for part in raw.split("/") if part not in {"", "."}]
        if raw.startswith("/") or ".." in parts or "\0" in raw:
            raise ArchiveError(f"{raw[:200]!r} leads out of the archive")
        if len(parts) > self._limits.name_parts:
            raise ArchiveError(f"{raw[:200]!r} has more than {self._limits.name_parts} parts")
        return "/".join(parts)

    def _file(self, member: Member) -> None:
        padded = (member.size + _BLOCK - 1) & _PADDED
        if member.size > self._limits.document_bytes:
            self._skip_bytes = padded
            self._on_member(member, None)
        elif not member.size:
            self._on_member(member, b"")
        else:

            def take(block: bytes) -> None:
                self._want(_BLOCK, self._header)
                self._on_member(member, block[: member.size])

            self._want(padded, take)


def _parsed(block: bytes) -> tarfile.TarInfo:
    magic, rest = block[257:265], block[345:]
    # Go reads the last fields of GNU and star headers in another way than as ustar's prefix of the name.
    if not (magic == b"ustar\x0000" and not rest[155:].strip(b"\0")) and not (
        magic == b"ustar  \0" and not rest.strip(b"\0")
    ):
        raise ArchiveError("a header is of no format that image archives have")
    if not _SIZE.fullmatch(block[124:136]):
        raise ArchiveError("a member has an unreadable or negative size")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as exc:
        raise ArchiveError(f"a header is damaged: {exc}") from exc


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise ArchiveError("a name is not UTF-8") from exc


def _pax_records(content: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    position = 0
    while position < len(content):
        match = _PAX_RECORD.match(content, position)
        end = position + int(match[1]) if match else 0
        key, equals, value = content[match.end() : end - 1].partition(b"=") if match else (b"", b"", b"")
        if not (key and equals and end <= len(content) and content[end - 1 : end] == b"\n"):
            raise ArchiveError("a pax header is damaged")
        name = _text(key)
        if name in records:
            raise ArchiveError(f"a pax header holds {name!r} twice")
        # Only these are read; others, such as extended attributes, may hold any bytes.
        records[name] = _text(value) if name in _PAX_NAMING else ""
        position = end
    return records


def _size(pax: str | None, header: int) -> int:
    if not pax:
        return header
    if not _DECIMAL.fullmatch(pax):
        raise ArchiveError("a member has an unreadable or negative size")
    return int(pax)


def _target(name: str, raw: str, kind: str) -> str:
    base = name.split("/")[:-1] if kind == "symlink" else []
    parts = [part for part in raw.split("/") if part not in {"", "."}]
    climbs = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    # Behind a folder, `..` may lead elsewhere than it says when the folder is a link itself.
    if raw.startswith("/") or "\0" in raw or climbs > len(base) or ".." in parts[climbs:]:
        raise ArchiveError(f"the link {name!r} leads out of the archive")
    return "/".join(base[: len(base) - climbs] + parts[climbs:])
