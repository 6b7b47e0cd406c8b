"""Archives that hold more than they announce: on every engine, the announced image is loaded, and nothing else.

The engines are the machine's own, and those whose addresses are in DEPLOYMENT_SENDER_TEST_ENGINES.
"""

import gzip
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from support.archives.archives import config_of, image_members, layer, sha256, written
from support.archives.hostile import header
from support.archives.mutations import ANNOUNCED, OTHERS
from support.engine.differential import Differential, engine_hosts

_LAYERS = [layer(hello=b"Hello\n"), layer(world=b"World\n")]
_MEMBERS = image_members("oci", ANNOUNCED, _LAYERS)
_OTHER = image_members("oci", OTHERS[0], [layer(other=b"other")])
_FULL = f"docker.io/{OTHERS[0]}"


@pytest.fixture
async def differential(tmp_path: Path, real_engine: object) -> AsyncIterator[Differential]:
    """Return a receiver's reader and loader, for every engine that responds."""
    async with Differential(tmp_path, engine_hosts()) as differential:
        yield differential


def _index(*entries: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": entries, **fields}).encode()


def _entry(members: dict[str, bytes], **fields: Any) -> dict[str, Any]:
    (entry,) = json.loads(members["index.json"])["manifests"]
    return {key: entry[key] for key in ("mediaType", "digest", "size")} | fields


def _with(**members: bytes) -> bytes:
    return written(_OTHER | _MEMBERS | {name.replace("_", "."): content for name, content in members.items()})


def _named(key: str) -> dict[str, Any]:
    return _entry(_OTHER, annotations={key: _FULL if key.startswith("io") else OTHERS[0]})


_OTHER_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_OTHER_INDEX = _index(*map(_named, _OTHER_NAMES))
_PLATFORM = {"os": "linux", "OS": "windows", "architecture": "amd64", "Architecture": "arm64"}

_NEUTRAL: dict[str, Callable[[], bytes]] = {
    "begins like bzip2": lambda: written({"BZh91AY&SY": b"x"} | _MEMBERS),
    "begins like a frame that zstd skips": lambda: written({"P*M\x18": b"x"} | _MEMBERS),
    "index begins with a blank": lambda: _with(index_json=b" \n" + _OTHER_INDEX),
    "index is large": lambda: _with(index_json=b" " * (5 << 20) + _OTHER_INDEX),
    "index in another case": lambda: written(_OTHER | _MEMBERS | {"INDEX.json": _OTHER_INDEX}),
    "entry of a reference name alone": lambda: _with(index_json=_index(_entry(_MEMBERS), _named(_OTHER_NAMES[1]))),
    "entry of an image name alone": lambda: _with(index_json=_index(_entry(_MEMBERS), _named(_OTHER_NAMES[0]))),
    "blobs at another path": lambda: written(
        {f"elsewhere/{name.rpartition('/')[2]}": content for name, content in _OTHER.items() if "sha256/" in name}
        | _MEMBERS
        | {"index.json": _OTHER_INDEX}
    ),
    "platform in two cases": lambda: _with(
        index_json=_index(_entry(_MEMBERS, platform=_PLATFORM), _entry(_OTHER, platform=_PLATFORM))
    ),
    "platform twice": lambda: _with(
        index_json=_index(_entry(_MEMBERS, platform={"os": "x"})).replace(b'{"os": "x"}', b'{"os":"linux","os":"y"}')
    ),
    "names of Engine 1.9": lambda: written(
        {"repositories": json.dumps({OTHERS[0][:-4]: {"1.0": sha256(b"x")}}).encode()} | _MEMBERS
    ),
    "configuration by another name": lambda: written(
        {
            name.replace(sha256(config_of(_LAYERS)), "0" * 64): content.replace(
                f"{sha256(config_of(_LAYERS))}.json".encode(), b"0" * 64 + b".json"
            )
            for name, content in image_members("legacy", ANNOUNCED, _LAYERS).items()
        }
    ),
    "layers in gzip": lambda: written(image_members("containerd", ANNOUNCED, _LAYERS)),
    "global pax header": lambda: (
        header("x", b"g", size=16) + b"16 comment=abcd\n".ljust(512, b"\0") + written(_MEMBERS)
    ),
    "no layers": lambda: written(image_members("oci", ANNOUNCED, [])),
}

_REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "index twice": (
        lambda: written(_MEMBERS, [_file("index.json", _OTHER_INDEX)]),
        "the archive holds 'index.json' twice",
    ),
    "second name": (
        lambda: _with(manifest_json=_MEMBERS["manifest.json"].replace(b'"]', f'","{OTHERS[0]}"]'.encode(), 1)),
        f"its image has {ANNOUNCED}, {OTHERS[0]}",
    ),
    "names in another case": (
        lambda: _with(
            manifest_json=_MEMBERS["manifest.json"].replace(b'{"', f'{{"repotags":["{OTHERS[0]}"],"'.encode())
        ),
        "spells 'RepoTags' in another way",
    ),
    "configuration that lies about a layer": (
        lambda: written(image_members("legacy", ANNOUNCED, _LAYERS, config_of([_LAYERS[0], b"another"]))),
        "and the configuration names",
    ),
    "layer in gzip in gzip": (
        lambda: written(image_members("containerd", ANNOUNCED, [gzip.compress(_LAYERS[0], mtime=0)])),
        "it is compressed twice",
    ),
}


def _file(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


async def test_further_content_of_an_archive_is_not_loaded(differential: Differential) -> None:
    """Each of these is accepted, because the engine gets an archive of the announced image alone."""
    reasons = {label: await differential.check(label, make()) for label, make in _NEUTRAL.items()}

    assert dict.fromkeys(_NEUTRAL, "") == reasons
    assert [] == differential.report.faults
    assert dict.fromkeys(engine_hosts(), 2) == differential.report.loaded


async def test_an_ambiguous_archive_is_refused(differential: Differential) -> None:
    """No engine gets a request."""
    reasons = {label: await differential.check(label, make()) for label, (make, _) in _REFUSED.items()}

    assert [] == [label for label, (_, reason) in _REFUSED.items() if reason not in reasons[label]]
    assert 0 == differential.report.loaded.total() + differential.report.declined.total()
