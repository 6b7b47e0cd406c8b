"""Image archives: the three real formats pass, everything else does not."""

import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.descriptor import Layer
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive, read_archive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import LayerReader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import ArchiveLimits
from support.archives.archives import Style, config_of, image_archive, image_members, layer, sha256, written

_STYLES: list[Style] = ["legacy", "oci", "containerd"]
_LAYERS = [layer(a=b"a" * 5000), layer(b=b"b")]

Members = dict[str, bytes]


def _read(data: bytes, size: int = 1 << 20, limits: ArchiveLimits | None = None) -> ImageArchive:
    return read_archive((data[start : start + size] for start in range(0, len(data), size)), limits=limits)


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def _manifest(members: Members, change: Callable[[Any], Any]) -> Members:
    """Change the one image of manifest.json, or replace it with what `change` returns."""
    images = json.loads(members["manifest.json"])
    changed = change(images[0])
    return members | {"manifest.json": json.dumps(images if changed is None else changed).encode()}


@pytest.mark.parametrize("style", _STYLES)
@pytest.mark.parametrize("size", [1, 511, 512, 1000, 1 << 20])
def test_every_format_at_any_split(style: Style, size: int) -> None:
    """The archives of all engines are read, however the bytes are split."""
    members = image_members(style, "team/hello:1.0", _LAYERS)
    data = written(members)
    paths = json.loads(members["manifest.json"])[0]["Layers"]

    archive = _read(data, size)

    assert ("team/hello:1.0",) == archive.references
    assert archive.config_digest == f"sha256:{sha256(config_of(_LAYERS))}"
    assert archive.size_bytes == len(data)
    assert archive.layers == tuple(
        Layer(f"sha256:{sha256(content)}", path, len(members[path]))
        for content, path in zip(_LAYERS, paths, strict=True)
    )


@pytest.mark.parametrize(("style", "manifests"), [("legacy", 0), ("oci", 1), ("containerd", 1)])
def test_ids(style: Style, manifests: int) -> None:
    """The image is known by its config's digest and, where there is a layout, by its manifest's."""
    archive = _read(image_archive(style))

    assert len(archive.manifest_digests) == manifests
    assert archive.is_image(archive.config_digest)
    assert all(archive.is_image(digest) for digest in archive.manifest_digests)
    assert not archive.is_image(f"sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("reference", "requested", "expected"),
    [
        ("hello:1.0", "hello:1.0", True),
        ("hello:1.0", "docker.io/library/hello:1.0", True),
        ("docker.io/team/hello:1.0", "team/hello:1.0", True),
        ("hello:1.0", "hello:1.1", False),
        ("hello:1.0", "team/hello:1.0", False),
        (None, "hello:1.0", False),
    ],
)
def test_names(reference: str | None, requested: str, expected: bool) -> None:
    """An archive names a reference however it is spelled."""
    assert expected == _read(image_archive("legacy", reference)).names(requested)


def test_names_no_other() -> None:
    """An archive that would set a second name does not name the first one only."""
    members = _manifest(image_members("legacy"), lambda image: image["RepoTags"].append("victim:1.0"))

    assert not _read(written(members)).names("hello:1.0")


def test_duplicate_layers_by_symlink() -> None:
    """Engine 20.10 writes a layer once and links to it: the size is that of the file."""
    members = image_members("legacy", layers=[_LAYERS[0], _LAYERS[0]])
    first, second = json.loads(members["manifest.json"])[0]["Layers"]
    del members[second]

    archive = _read(written(members, [_link(second, f"../{first}")]))

    assert [len(_LAYERS[0])] * 2 == [one.size_bytes for one in archive.layers]


def test_duplicate_layers_by_hard_link() -> None:
    """A repacked archive may hold hard links."""
    members = image_members("legacy", layers=[_LAYERS[0], _LAYERS[0]])
    first, second = json.loads(members["manifest.json"])[0]["Layers"]
    del members[second]

    archive = _read(written(members, [_link(second, first, tarfile.LNKTYPE)]))

    assert [len(_LAYERS[0])] * 2 == [one.size_bytes for one in archive.layers]


def test_repacked_from_a_folder() -> None:
    """Names that begin with `./` are the same names."""
    members = {"./": b""} | {f"./{name}": content for name, content in image_members("legacy").items()}

    assert _read(written(members)).names("hello:1.0")


def test_config_of_another_name() -> None:
    """A configuration may have any name in the archive, as no engine requires its digest there."""
    members = image_members("legacy")
    path = json.loads(members["manifest.json"])[0]["Config"]
    other = f"{'0' * 64}.json"
    members[other] = members.pop(path)

    archive = _read(written(_manifest(members, lambda image: image.update(Config=other))))

    assert f"{archive.config_digest}.json" == f"sha256:{path}"


def _without(name: str) -> Callable[[Members], Members]:
    return lambda members: {path: content for path, content in members.items() if path != name}


def _changed(**fields: Any) -> Callable[[Members], Members]:
    return lambda members: _manifest(members, lambda image: image.update(fields))


def _config(text: bytes) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        return _manifest(members | {"c.json": text}, lambda image: image.update(Config="c.json"))

    return change


_BROKEN: Mapping[str, Callable[[Members], Members]] = {
    "no manifest": _without("manifest.json"),
    "manifest no list": lambda members: members | {"manifest.json": b"{}"},
    "manifest no JSON": lambda members: members | {"manifest.json": b"[{]"},
    "manifest no document": lambda members: members | {"manifest.json": b"text"},
    "no image": lambda members: _manifest(members, lambda _: []),
    "two images": lambda members: _manifest(members, lambda image: [image, image]),
    "image no object": lambda members: _manifest(members, lambda _: ["image"]),
    "no config": _changed(Config=None),
    "config no text": _changed(Config=7),
    "config absent": _changed(Config="absent.json"),
    "config a layer": lambda members: _manifest(members, lambda image: image.update(Config=image["Layers"][0])),
    "config of no diff ids": _config(b'{"rootfs": {}}'),
    "config of too many diff ids": _config(json.dumps({"rootfs": {"diff_ids": [f"sha256:{'0' * 64}"] * 3}}).encode()),
    "config of a wrong diff id": _config(b'{"rootfs": {"diff_ids": ["sha256:0", "sha256:1"]}}'),
    "config of no text": _config(b'{"rootfs": {"diff_ids": [1, 2]}}'),
    "config no object": _config(b"[]"),
    "layers no list": _changed(Layers={"a": "b"}),
    "layer no text": _changed(Layers=[1, 2]),
    "layer absent": _changed(Layers=["absent", "absent"]),
    "layer a folder": lambda members: _manifest(
        members | {"folder/": b""}, lambda image: image.update(Layers=["folder", "folder"])
    ),
    "one layer too few": lambda members: _manifest(members, lambda image: image["Layers"].pop()),
    "tag no text": _changed(RepoTags=[7]),
    "tags in another case": lambda members: _manifest(members, lambda image: image.update(repotags=["victim:1.0"])),
}


@pytest.mark.parametrize("change", _BROKEN.values(), ids=_BROKEN.keys())
def test_no_image_archive(change: Callable[[Members], Members]) -> None:
    """What is not exactly one whole image is refused."""
    with pytest.raises(ArchiveError):
        _read(written(change(image_members("legacy", layers=_LAYERS))))


@pytest.mark.parametrize("name", ["manifest.json", "./manifest.json", "index.json", "oci-layout"])
def test_twice(name: str) -> None:
    """A member that is there twice is refused: which one counts depends on the reader."""
    info = tarfile.TarInfo(name)
    info.size = 2
    with pytest.raises(ArchiveError, match="twice"):
        _read(written(image_members(), [(info, b"[]")]))


def test_folders_twice() -> None:
    """A folder may be there twice."""
    info = tarfile.TarInfo("blobs/")
    info.type = tarfile.DIRTYPE

    assert _read(written(image_members(), [(info, b"")])).names("hello:1.0")


@pytest.mark.parametrize("target", ["absent", "blobs", "link", "../manifest.json"])
def test_links_to_no_file(target: str) -> None:
    """A link leads to a file of the archive, directly."""
    with pytest.raises(ArchiveError):
        _read(written(image_members(), [_link("link", target), _link("second", "link")]))


def test_link_to_the_root() -> None:
    """A link to the archive's own folder is refused."""
    with pytest.raises(ArchiveError, match="does not lead to a file"):
        _read(written(image_members(), [_link("blobs/link", "..")]))


def test_manifest_as_a_link() -> None:
    """manifest.json must be a file itself."""
    members = image_members("legacy")
    members["other.json"] = members.pop("manifest.json")
    with pytest.raises(ArchiveError, match=r"'manifest\.json' is not in the archive"):
        _read(written(members, [_link("manifest.json", "other.json")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_member_behind_a_link(kind: bytes) -> None:
    """A member that lies in a link, or in a file, is refused."""
    info = tarfile.TarInfo("link/inside")
    with pytest.raises(ArchiveError, match="no folder"):
        _read(written(image_members(), [_link("link", "manifest.json", kind), (info, b"")]))


def test_layout_is_not_trusted() -> None:
    """What index.json names is not what is loaded, and so does not matter."""
    members = image_members()
    members["index.json"] = members["index.json"].replace(b"hello:1.0", b"other:1.0")

    assert _read(written(members)).names("hello:1.0")


def test_layers_are_read() -> None:
    """With a layer reader each layer is decompressed, and compared with the configuration."""
    members = image_members("containerd", layers=[_LAYERS[0], _LAYERS[1], _LAYERS[0]])
    archive = read_archive([written(members)], layers=LayerReader(1 << 20))
    paths = json.loads(members["manifest.json"])[0]["Layers"]

    assert [
        Layer(f"sha256:{sha256(content)}", path, len(members[path]), "gzip", len(content))
        for path, content in zip(paths, [*_LAYERS, _LAYERS[0]], strict=True)
    ] == list(archive.layers)


def test_a_configuration_that_names_another_layer() -> None:
    """It is refused where the layers are read."""
    data = written(image_members("legacy", layers=_LAYERS, config=config_of([_LAYERS[0], b"another"])))

    with pytest.raises(ArchiveError, match="and the configuration names"):
        read_archive([data], layers=LayerReader(1 << 20))


@pytest.mark.parametrize(
    "limits",
    [
        ArchiveLimits(names_characters=200),
        ArchiveLimits(documents_bytes=500),
        ArchiveLimits(document_bytes=100),
        ArchiveLimits(values=5),
        ArchiveLimits(layers=0),
        ArchiveLimits(unnamed_bytes=1000),
    ],
)
def test_limits(limits: ArchiveLimits) -> None:
    """Names, documents and unnamed files have a limit each."""
    with pytest.raises(ArchiveError):
        _read(image_archive(), limits=limits)


def test_cut_short() -> None:
    """An archive without its end is refused."""
    with pytest.raises(ArchiveError, match="cut short"):
        _read(image_archive()[:-10240])


def test_memory_does_not_grow() -> None:
    """Layers are passed over without being held."""
    size = 300 << 20
    info = tarfile.TarInfo("huge")
    info.size = size
    block, rest = bytes(1 << 20), image_archive()

    def chunks() -> Iterator[bytes]:
        yield info.tobuf(tarfile.USTAR_FORMAT)
        yield from repeat(block, size >> 20)
        yield rest

    tracemalloc.start()
    archive = read_archive(chunks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size < archive.size_bytes
    assert 1 << 20 > peak


def test_what_follows_the_end() -> None:
    """Chunks of zeros may follow, and nothing else, unless reading stops at the end."""
    data = image_archive()

    assert len(data) == read_archive([data, bytes(1000)]).size_bytes
    assert len(data) == read_archive([data, b"x"], stop_at_end=True).size_bytes
    with pytest.raises(ArchiveError, match="follows"):
        read_archive([data, b"x"])
