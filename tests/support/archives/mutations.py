"""Image archives that differ from sound ones in documents, names, keys, headers or compression; the same for each seed.

Each of them names the image `ANNOUNCED`; many name `OTHERS`, too.
"""

import bz2
import gzip
import json
import lzma
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.archives.archives import Style, config_of, image_members, layer, sha256
from support.archives.hostile import header, pax

__all__ = ["ANNOUNCED", "OTHERS", "Entry", "mutated", "serialised"]

ANNOUNCED = "differential/announced:1.0"
OTHERS = ("differential/other:1.0", "differential/another:2.0")
_STYLES: tuple[Style, ...] = ("legacy", "oci", "containerd")
_NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_BLANKS = (b" ", b"\n", b"\t\r\n", b" " * 5000, b"\xef\xbb\xbf")


@dataclass
class Entry:
    """One member of an archive under construction."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    before: bytes = b""


class Pairs(list[tuple[str, Any]]):
    """A JSON object whose keys may be there several times."""


Random = random.Random
Archive = list[Entry]


def mutated(seed: int) -> bytes:
    """Make the package of a seed."""
    rng = Random(seed)
    archive = _sound(rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_OF_MEMBERS)(rng, archive)
    data = serialised(archive)
    if rng.random() < 0.25:
        data = rng.choice(_OF_BYTES)(rng, data)
    return rng.choice(_PACKED)(data)


def serialised(archive: Archive) -> bytes:
    """Write an archive."""
    blocks = [
        entry.before
        + header(entry.name, entry.kind, target=entry.target, size=len(entry.content))
        + entry.content
        + bytes(-len(entry.content) % 512)
        for entry in archive
    ]
    return b"".join(blocks) + bytes(1024)


def _sound(rng: Random) -> Archive:
    layers = [layer(**{f"file{number}": b"content"}) for number in range(rng.choice((0, 1, 1, 2, 3)))]
    if layers and rng.random() < 0.2:
        layers.append(layers[0])
    return _entries(image_members(rng.choice(_STYLES), ANNOUNCED, layers))


def _entries(members: dict[str, bytes]) -> Archive:
    return [
        Entry(name, content, tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
        for name, content in members.items()
    ]


def _other_image(rng: Random) -> dict[str, bytes]:
    layers = [layer(other=rng.randbytes(10))]
    return image_members(rng.choice(_STYLES), rng.choice(OTHERS), layers, config_of(layers, ["/other"]))


def _files(archive: Archive) -> list[Entry]:
    return [entry for entry in archive if entry.kind == tarfile.REGTYPE]


def _documents(archive: Archive) -> list[Entry]:
    return [entry for entry in _files(archive) if entry.content[:1] in {b"{", b"["}] or _files(archive)


def _written(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{_written(inner)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)


def _change_document(rng: Random, archive: Archive) -> None:
    """Change, remove, double or respell a key anywhere in a document."""
    _change_in(rng, rng.choice(_documents(archive)))


def _change_config(rng: Random, archive: Archive) -> None:
    """Change the image's configuration in such a way."""
    for entry in archive:
        if b"rootfs" in entry.content:
            _change_in(rng, entry)


def _change_in(rng: Random, entry: Entry) -> None:
    try:
        document = json.loads(entry.content, object_pairs_hook=Pairs)
    except ValueError:
        return
    objects = [found for found in _walk(document) if isinstance(found, Pairs) and found]
    if objects:
        found = rng.choice(objects)
        at = rng.randrange(len(found))
        key, value = found[at]
        junk = _junk(rng, value)
        change = rng.randrange(5)
        if change == 0:
            found[at] = (key, junk)
        elif change == 1:
            del found[at]
        elif change == 2:
            found.insert(rng.choice((at, at + 1)), (key, junk))
        elif change == 3:
            found.insert(rng.choice((at, at + 1)), (rng.choice((key.upper(), key.lower(), key.title())), junk))
        else:
            found.append((rng.choice(("Config", "RepoTags", "platform", "manifests", "rootfs", "Parent")), junk))
    entry.content = _written(document).encode()


def _walk(value: Any) -> list[Any]:
    inner = [one for _, one in value] if isinstance(value, Pairs) else value if isinstance(value, list) else []
    return [value, *(found for one in inner for found in _walk(one))]


def _junk(rng: Random, value: Any) -> Any:
    other = rng.choice(OTHERS)
    simple = [None, 0, "", [], Pairs(), True, -1, 10**20, other, f"docker.io/{other}", [other], "sha256:" + "0" * 64]
    if isinstance(value, list):
        return rng.choice([*simple, value + value, value[1:], value[::-1]])
    return rng.choice([*simple, [value], f"{value}x", str(value).upper()])


def _blanks(rng: Random, archive: Archive) -> None:
    """Begin a document with bytes that some readers ignore."""
    entry = rng.choice(_documents(archive))
    entry.content = rng.choice(_BLANKS) + entry.content


def _rename_in_layout(rng: Random, archive: Archive) -> None:
    """Name another image in index.json, by one annotation, in a document that may be spelled in another way."""
    index = [entry for entry in archive if entry.name == "index.json"] or [Entry("index.json", b'{"manifests":[{}]}')]
    try:
        document = json.loads(index[0].content)
        for manifest in document["manifests"]:
            manifest["annotations"] = {rng.choice(_NAME_KEYS): rng.choice((rng.choice(OTHERS), "2.0", "other"))}
    except (ValueError, TypeError, KeyError):  # another change came first
        return
    content = rng.choice((*_BLANKS, b"")) + json.dumps(document).encode()
    if index[0] not in archive or rng.random() < 0.3:
        archive.append(Entry(rng.choice(("index.json", "INDEX.JSON", "./index.json", "Index.json")), content))
    else:
        index[0].content = content


def _add_image(rng: Random, archive: Archive) -> None:
    """Add the members of another image that are not there yet, or put its documents in the place of those there are."""
    known = {entry.name: entry for entry in archive}
    for entry in _entries(_other_image(rng)):
        if entry.name not in known:
            archive.append(entry)
        elif rng.random() < 0.3:
            known[entry.name].content = entry.content
        elif rng.random() < 0.3:
            archive.append(entry)


def _add_repositories(rng: Random, archive: Archive) -> None:
    """Add the names in the form of Engine 1.9 and older."""
    name, _, tag = rng.choice(OTHERS).partition(":")
    archive.insert(0, Entry("repositories", json.dumps({name: {tag: sha256(b"x")}}).encode()))


def _move_member(rng: Random, archive: Archive) -> None:
    """Give a member another name, or the archive another order."""
    entry = rng.choice(archive)
    spellings = (
        f"./{entry.name}",
        entry.name.upper(),
        f"x/{entry.name}"[:90],
        "BZh91AY",
        "P*M\x18",
        f"{entry.name}.json",
    )
    if rng.random() < 0.3:
        rng.shuffle(archive)
    elif rng.random() < 0.5:
        entry.name = rng.choice(spellings)[:90]
    else:
        archive.insert(rng.randrange(len(archive) + 1), Entry(rng.choice(spellings)[:90], entry.content, entry.kind))


def _link_member(rng: Random, archive: Archive) -> None:
    """Put a link in the place of a file, or beside it."""
    entry = rng.choice(_files(archive))
    kind = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE))
    up = "../" * entry.name.count("/") if kind == tarfile.SYMTYPE else ""
    moved = Entry(f"moved-{len(archive)}", entry.content)
    entry.content, entry.kind, entry.target = b"", kind, up + rng.choice((moved.name, moved.name, "absent", "blobs"))
    archive.insert(rng.choice((0, len(archive))), moved)


def _extend_member(rng: Random, archive: Archive) -> None:
    """Put a pax header before a member."""
    entry = rng.choice(archive)
    key, value = rng.choice(
        (
            ("path", entry.name),
            ("path", "manifest.json"),
            ("size", str(len(entry.content))),
            ("comment", "x"),
            ("uid", "7"),
        )
    )
    entry.before = pax(key, value)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # a seed makes the same archive at any time


def _recompress_layer(rng: Random, archive: Archive) -> None:
    """Compress a member in some way, or twice, or unpack it."""
    entry = rng.choice(_files(archive))
    ways: list[Callable[[bytes], bytes]] = [_gzip, bz2.compress, lzma.compress, lambda data: data + b"x"]
    content = rng.choice(ways)(entry.content)
    entry.content = _gzip(content) if rng.random() < 0.2 else content


def _change_bytes(rng: Random, archive: Archive) -> None:
    """Change a byte of a member."""
    entry = rng.choice(_files(archive))
    if entry.content:
        at = rng.randrange(len(entry.content))
        entry.content = entry.content[:at] + rng.randbytes(1) + entry.content[at + 1 :]


def _change_header(rng: Random, data: bytes) -> bytes:
    """Change a byte of a header, and set its checksum right."""
    at = rng.choice([start for start in range(0, len(data), 512) if data[start + 257 : start + 262] == b"ustar"])
    block = bytearray(data[at : at + 512])
    block[rng.choice((rng.randrange(148), rng.randrange(156, 512)))] = rng.choice(b"\0 /.017xgLKS5\xff")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + 512 :]


def _change_any(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(1) + data[at + 1 :]


def _append_archive(rng: Random, data: bytes) -> bytes:
    more = serialised(_entries(_other_image(rng)))
    return rng.choice((data + more, data[:-512] + more, data + bytes(9216), data[:-1024], more + data))


_OF_MEMBERS = (
    *[_change_document, _change_config] * 4,
    *[_rename_in_layout] * 3,
    *[_blanks, _add_image] * 2,
    _add_repositories,
    _move_member,
    _link_member,
    _extend_member,
    _recompress_layer,
    _change_bytes,
)
_OF_BYTES = (_change_header, _change_any, _append_archive)
_PACKED: tuple[Callable[[bytes], bytes], ...] = (
    *[bytes] * 12,
    *[_gzip] * 3,
    bz2.compress,
)
