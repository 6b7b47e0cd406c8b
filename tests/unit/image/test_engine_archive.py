"""The archive that an engine loads."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive, read_archive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import LayerReader
from support.archives.archives import Style, config_of, image_archive, image_members, layer, sha256, written

_NAME = "incoming.invalid/x:1"
_LAYERS = [layer(a=b"a" * 5000), layer(b=b"b"), b""]


def _image(archive: bytes) -> ImageArchive:
    return read_archive([archive], layers=LayerReader(1 << 30))


def _rewritten(archive: bytes, size: int = 1 << 20) -> bytes:
    engine_archive = EngineArchive(_image(archive), _NAME)
    pieces = [archive[start : start + size] for start in range(0, len(archive), size)]
    return b"".join([engine_archive.begin(), *engine_archive.layers(iter(pieces)), engine_archive.end()])


def _members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: _content(tar, member) for member in tar}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("style", ["legacy", "oci", "containerd"])
@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_every_format_becomes_one(style: Style, size: int) -> None:
    """Every format, in pieces of any size, becomes the same archive, of the image and nothing else."""
    layers = [*_LAYERS, _LAYERS[0]]
    archive = _rewritten(image_archive(style, layers=layers), size)
    members = _members(archive)
    blobs = {f"blobs/sha256/{sha256(content)}": content for content in [*layers, config_of(layers)]}
    index: Any = json.loads(members["index.json"])
    manifest = f"blobs/{index['manifests'][0]['digest'].replace(':', '/')}"

    assert {"oci-layout", "index.json", "manifest.json", manifest} | blobs.keys() == members.keys()
    assert blobs == {name: members[name] for name in blobs}
    assert archive == _rewritten(image_archive("oci", "other:2", layers=layers))


def test_both_descriptions_are_of_the_image() -> None:
    """`manifest.json` and the layout name the same configuration, layers and name."""
    members = _members(_rewritten(image_archive("containerd", layers=_LAYERS)))
    (loaded,) = json.loads(members["manifest.json"])
    (entry,) = json.loads(members["index.json"])["manifests"]
    manifest = json.loads(members[f"blobs/{entry['digest'].replace(':', '/')}"])
    config, digests = f"sha256:{sha256(config_of(_LAYERS))}", [f"sha256:{sha256(content)}" for content in _LAYERS]

    assert [_NAME] == loaded["RepoTags"]
    assert {_NAME} == set(entry["annotations"].values())
    assert config == manifest["config"]["digest"] == loaded["Config"].replace("blobs/sha256/", "sha256:")
    assert digests == [one["digest"] for one in manifest["layers"]]
    assert digests == [path.replace("blobs/sha256/", "sha256:") for path in loaded["Layers"]]
    assert [len(content) for content in _LAYERS] == [one["size"] for one in manifest["layers"]]


def test_ids_are_those_of_configuration_and_manifest() -> None:
    """An engine of either image store gives the image one of them as its id."""
    archive = image_archive(layers=_LAYERS)
    (entry,) = json.loads(_members(_rewritten(archive))["index.json"])["manifests"]

    assert {f"sha256:{sha256(config_of(_LAYERS))}", entry["digest"]} == EngineArchive(_image(archive), _NAME).image_ids


def test_an_image_without_layers() -> None:
    """Nothing is read from the original archive."""
    members = _members(_rewritten(image_archive(layers=[])))

    assert [] == json.loads(members["manifest.json"])[0]["Layers"]


def test_a_stream_begins_with_a_name() -> None:
    """The first bytes are a name of ours, whatever the first member of the original archive is called."""
    archive = image_members("legacy", layers=_LAYERS)

    assert _rewritten(written({"BZh91AY": b"x"} | archive)).startswith(b"oci-layout\0")


def test_reading_ends_with_the_last_layer() -> None:
    """The chunks behind the last layer are not taken."""
    archive = image_archive("oci", layers=_LAYERS)
    left: Iterator[bytes] = iter([archive[start : start + 512] for start in range(0, len(archive), 512)])
    list(EngineArchive(_image(archive), _NAME).layers(left))

    assert b"".join(left).endswith(archive[-4096:])


@pytest.mark.parametrize("change", [{"unpacked_bytes": 1}, {"unpacked_bytes": 1 << 20}, {"path": "absent"}])
def test_another_archive_than_was_read(change: dict[str, Any]) -> None:
    """An archive whose layers became shorter or longer, or are gone, is noticed before any byte too many is written."""
    archive = image_archive(layers=_LAYERS[:1])
    image = _image(archive)
    changed = replace(image, layers=tuple(replace(one, **change) for one in image.layers))

    with pytest.raises(ArchiveError):
        list(EngineArchive(changed, _NAME).layers([archive]))


def test_a_layer_of_many_gigabytes_has_a_header() -> None:
    """Sizes from 8 GiB on are written as GNU tar writes them."""
    image = _image(image_archive(layers=_LAYERS[:1]))
    large = replace(image, layers=(replace(image.layers[0], unpacked_bytes=9 << 30),))
    header = next(EngineArchive(large, _NAME).layers([image_archive(layers=_LAYERS[:1])]))

    assert (9 << 30) == tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    assert hashlib.sha256(_LAYERS[0]).hexdigest() in header.decode(errors="replace")
