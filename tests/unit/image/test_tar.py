"""The tar reader: it accepts what engines write, and refuses what two readers could understand differently."""

import io
import tarfile
from collections.abc import Callable
from typing import Literal

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import (
    ArchiveLimits,
    Member,
    TarReader,
)
from support.archives.archives import written

_END = bytes(1024)


def _read(data: bytes, size: int = 1 << 20, limits: ArchiveLimits | None = None) -> list[tuple[Member, bytes]]:
    chunks = (memoryview(data)[start : start + size] for start in range(0, len(data), size))
    return [(member, b"".join(content)) for member, content in TarReader(chunks, limits or ArchiveLimits())]


def _members(data: bytes) -> list[Member]:
    return [member for member, _ in _read(data)]


def _info(
    name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", size: int = 0, pax: dict[str, str] | None = None
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    info.pax_headers = pax or {}
    return info


def _entry(info: tarfile.TarInfo, content: bytes = b"", form: Literal[0, 1, 2] = tarfile.USTAR_FORMAT) -> bytes:
    return info.tobuf(form, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)


def _header(name: str = "file", patch: Callable[[bytearray], None] = lambda _: None, kind: bytes = b"0") -> bytes:
    """Make a header, change it, and set its checksum right."""
    block = bytearray(_info(name, kind).tobuf(tarfile.USTAR_FORMAT))
    patch(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _extension(kind: bytes, content: bytes) -> bytes:
    info = _info("extension", kind, size=len(content))
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def _patched(offset: int, value: bytes) -> Callable[[bytearray], None]:
    def patch(block: bytearray) -> None:
        block[offset : offset + len(value)] = value

    return patch


@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 4096, 1 << 20])
def test_any_split(size: int) -> None:
    """Members and the contents of files are read, however the bytes are split."""
    data = written({"folder/": b"", "folder/a.json": b"{}", "b": b"x" * 512, "empty": b""})

    assert _read(data, size) == [
        (Member("folder", "folder"), b""),
        (Member("folder/a.json", "file", 2), b"{}"),
        (Member("b", "file", 512), b"x" * 512),
        (Member("empty", "file"), b""),
    ]


def test_contents_that_are_not_read() -> None:
    """The content of a file is passed over where it was not read to its end."""
    found = []
    for member, content in TarReader([written({"large": bytes(1001), "small": bytes(1000)})], ArchiveLimits()):
        found.append(member)
        next(content)

    assert [Member("large", "file", 1001), Member("small", "file", 1000)] == found


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names(form: Literal[0, 1, 2]) -> None:
    """Names and targets of links may be longer than a header's fields, in pax and in GNU style."""
    name, target = "n" * 150 + "/" + "m" * 150, "t" * 200
    data = _entry(_info(name, tarfile.SYMTYPE, target=target), form=form) + _entry(_info(name), form=form) + _END

    assert _members(data) == [
        Member(name, "symlink", target=f"{'n' * 150}/{target}"),
        Member(name, "file"),
    ]


def test_long_names_by_ustar() -> None:
    """A name may be split between a header's name and prefix."""
    name = "n" * 90 + "/" + "m" * 90

    assert _members(_entry(_info(name)) + _END) == [Member(name, "file")]


def test_base_256_size() -> None:
    """A size over 8 GiB is read in GNU's binary form."""
    reader = TarReader([_entry(_info("layer", size=9 << 30), form=tarfile.GNU_FORMAT)], ArchiveLimits())

    assert Member("layer", "file", 9 << 30) == next(iter(reader))[0]


def test_pax_size() -> None:
    """A size over 8 GiB is read from a pax header, too."""
    reader = TarReader([_entry(_info("layer", size=9 << 30), form=tarfile.PAX_FORMAT)], ArchiveLimits())

    assert Member("layer", "file", 9 << 30) == next(iter(reader))[0]


def test_extended_attributes() -> None:
    """Pax records that name nothing may hold any bytes."""
    record = b"24 SCHILY.xattr.a=\xff\0\xfe\n"
    data = _extension(b"x", b"%d %s" % (len(record), record[3:])) + _entry(_info("file")) + _END

    assert _members(data) == [Member("file", "file")]


def test_dots_and_slashes_mean_nothing() -> None:
    """A name is reported as Docker cleans it."""
    assert _members(_entry(_info("./a//b/./c")) + _END) == [Member("a/b/c", "file")]


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("one/layer.tar", "../two/layer.tar", "two/layer.tar"),
        ("one/layer.tar", "../two.tar", "two.tar"),
        ("one/two/l", "../../x/y", "x/y"),
        ("l", "x", "x"),
    ],
)
def test_symlinks_inside(name: str, target: str, expected: str) -> None:
    """A symlink's target is reported from the archive's root."""
    data = _entry(_info(name, tarfile.SYMTYPE, target=target)) + _END

    assert _members(data) == [Member(name, "symlink", target=expected)]


def test_hard_links_inside() -> None:
    """A hard link's target is a name of the archive already."""
    data = _entry(_info("one/l", tarfile.LNKTYPE, target="two/f")) + _END

    assert _members(data) == [Member("one/l", "hardlink", target="two/f")]


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../etc/passwd"),
        (tarfile.SYMTYPE, ".."),
        (tarfile.SYMTYPE, "folder/../../../etc"),
        (tarfile.SYMTYPE, "folder/../file"),
        (tarfile.LNKTYPE, "../file"),
        (tarfile.LNKTYPE, "/file"),
    ],
)
def test_links_outside(kind: bytes, target: str) -> None:
    """A link that leads out of the archive, or may, is refused."""
    data = _entry(_info("one/l", kind, target=target)) + _END
    if target == "..":
        assert _members(data) == [Member("one/l", "symlink", target="")]
    else:
        with pytest.raises(ArchiveError):
            _read(data)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/..", "a/" * 17 + "b", "n" * 5000])
def test_names_outside(name: str) -> None:
    """A member outside the archive, or with an endless name, is refused."""
    with pytest.raises(ArchiveError):
        _read(_entry(_info(name), form=tarfile.GNU_FORMAT) + _END)


def test_nul_in_a_name() -> None:
    """A pax name that holds a NUL is refused: others would end it there."""
    with pytest.raises(ArchiveError, match="NUL"):
        _read(_extension(b"x", b"13 path=a\0bc\n") + _entry(_info("file")) + _END)


def test_files_of_the_oldest_style() -> None:
    """A file may have the oldest type, and a header without a magic (`tar --format=v7`)."""
    assert [Member("file", "file")] == _members(_header("file", kind=b"\0") + _END)
    assert [Member("file", "file")] == _members(_header("file", _patched(257, bytes(8))) + _END)


def test_global_pax_headers() -> None:
    """A global pax header, for example with a comment (`git archive`), is ignored, as Go does."""
    data = _extension(b"g", b"16 comment=abcd\n") + _entry(_info("file")) + _END

    assert [Member("file", "file")] == _members(data)


@pytest.mark.parametrize(
    "headers",
    [_extension(b"g", b"10 path=a\n"), _extension(b"x", b"10 path=a\n") + _extension(b"g", b"16 comment=abcd\n")],
    ids=["names", "after another"],
)
def test_global_pax_headers_of_two_meanings(headers: bytes) -> None:
    """One that Python applies and Go ignores is refused."""
    with pytest.raises(ArchiveError, match="global"):
        _read(headers + _entry(_info("file")) + _END)


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"7", b"S", b"V", b"Z"])
def test_kinds(kind: bytes) -> None:
    """Devices, FIFOs, sparse files and whatever else is no file, folder or link are refused."""
    with pytest.raises(ArchiveError, match="neither"):
        _read(_header(kind=kind) + _END)


def test_no_folder_by_its_slash() -> None:
    """A file of the oldest style whose name ends in a slash is no folder here."""
    with pytest.raises(ArchiveError, match="neither"):
        _read(_header("folder/", kind=b"\0") + _END)


@pytest.mark.parametrize(
    "size",
    [b"\xff" * 12, b"-0000000001\0", b"\0" * 12, b"\x00000000001\0", b"1_0\0", b"0o17\0", b"12 34\0", b"99\0"],
)
def test_sizes_of_two_meanings(size: bytes) -> None:
    """A size that is negative, or that Go and Python read differently, is refused."""
    with pytest.raises(ArchiveError, match="size"):
        _read(_header(patch=_patched(124, size.ljust(12, b"\0"))) + _END)


def test_huge_size() -> None:
    """A size that no layer has is refused at once."""
    with pytest.raises(ArchiveError, match="cannot have"):
        _read(_header(patch=_patched(124, b"\x80" + b"\x7f" * 11)) + _END)


@pytest.mark.parametrize("kind", [b"1", b"2", b"5"])
def test_content_of_no_file(kind: bytes) -> None:
    """A folder or a link with content is refused: readers differ on whether to skip it."""
    with pytest.raises(ArchiveError, match="cannot have"):
        _read(_header(kind=kind, patch=_patched(124, b"00000000001\0")) + bytes(512) + _END)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(257, b"\0" * 8), (257, b"ustar  \0"), (508, b"tar\0"), (263, b"99")],
    ids=["v7", "GNU times where ustar has a prefix", "star", "unknown version"],
)
def test_formats(offset: int, value: bytes) -> None:
    """A header that Go and Python read differently is refused."""

    def patch(block: bytearray) -> None:
        block[345:350] = b"above"
        block[offset : offset + len(value)] = value

    with pytest.raises(ArchiveError, match="format"):
        _read(_header(patch=patch) + _END)


def test_wrong_checksum() -> None:
    """A header that was changed is refused."""
    block = bytearray(_header())
    block[0] ^= 1
    with pytest.raises(ArchiveError, match="damaged"):
        _read(bytes(block) + _END)


@pytest.mark.parametrize("at", [0, 157])
def test_names_are_utf_8(at: int) -> None:
    """A name that is not UTF-8 is refused."""
    with pytest.raises(ArchiveError, match="damaged"):
        _read(_header(patch=_patched(at, b"\xff\xfe")) + _END)


@pytest.mark.parametrize(
    "content",
    [
        b"12 path=ab",
        b"99 path=ab\n",
        b"3 path=ab\n",
        b"x path=ab\n",
        b"011 path=ab\n",
        b"8 path\n\n",
        b"7 =abc\n",
        b"11 path=\xff\xfe\n",
        b"10 path=a\n10 path=b\n",
        b"22 GNU.sparse.size=10\n",
        b"12 size=-10\n",
        b"12 size=1_0\n",
        b"29 size=18446744073709551616\n",
    ],
)
def test_pax_records(content: bytes) -> None:
    """A pax header that is damaged, or could mean two things, is refused."""
    with pytest.raises(ArchiveError):
        _read(_extension(b"x", content) + _entry(_info("file")) + _END)


@pytest.mark.parametrize(
    "kinds", [b"xx", b"LL", b"KK", b"xL", b"Lx"], ids=["two pax", "two names", "two targets", "both", "both, turned"]
)
def test_two_extensions(kinds: bytes) -> None:
    """Two extension headers for the same field of one member are refused."""
    content = {b"x": b"10 path=a\n", b"L": b"name\0", b"K": b"target\0"}
    extensions = [_extension(bytes([kind]), content[bytes([kind])]) for kind in kinds]
    with pytest.raises(ArchiveError, match="two extension"):
        _read(b"".join(extensions) + _entry(_info("file")) + _END)


@pytest.mark.parametrize("size", [0, (1 << 20) + 1])
def test_size_of_an_extension(size: int) -> None:
    """An extension header is neither empty nor larger than Go takes."""
    with pytest.raises(ArchiveError, match="extension"):
        _read(_info("x", b"x", size=size).tobuf(tarfile.USTAR_FORMAT) + _END)


def test_extension_of_nothing() -> None:
    """An extension header belongs to a member."""
    with pytest.raises(ArchiveError, match="ends between"):
        _read(_extension(b"x", b"10 path=a\n") + _END)


def test_too_many_members() -> None:
    """There is a limit to the members."""
    data = written({str(number): b"" for number in range(11)})

    assert 11 == len(_read(data, limits=ArchiveLimits(members=11)))
    with pytest.raises(ArchiveError, match="more than 10"):
        _read(data, limits=ArchiveLimits(members=10))


def test_cut_short_anywhere() -> None:
    """An archive that ends early is refused, wherever it ends."""
    data = _entry(_info("a", size=600), b"x" * 600) + _entry(_info("b")) + _END
    for size in range(0, len(data), 64):
        with pytest.raises(ArchiveError, match="cut short"):
            _read(data[:size])


@pytest.mark.parametrize("padding", [0, 512, 9000])
def test_zeros_may_follow(padding: int) -> None:
    """Zeros behind the end are padding, as GNU tar writes it."""
    assert _members(_entry(_info("a")) + _END + bytes(padding)) == [Member("a", "file")]


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_nothing_else_may_follow(size: int) -> None:
    """Something behind the end that came in one chunk with it is refused."""
    data = _entry(_info("a")) + _END + _entry(_info("b")) + _END
    with pytest.raises(ArchiveError, match="follows"):
        _read(data, size)


def test_one_block_of_zeros_is_no_end() -> None:
    """A single block of zeros between two members is refused."""
    with pytest.raises(ArchiveError, match="zeros"):
        _read(_entry(_info("a")) + bytes(512) + _entry(_info("b")) + _END)


def test_what_the_standard_library_writes() -> None:
    """All formats of the standard library are read."""
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            archive.addfile(_info("é" * 40, size=3), io.BytesIO(b"abc"))

        assert _read(buffer.getvalue()) == [(Member("é" * 40, "file", 3), b"abc")]
