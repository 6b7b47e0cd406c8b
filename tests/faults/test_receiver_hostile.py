"""Packages that would harm an engine that loads them: a receiver refuses them and does not call its engine."""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from support.archives.archives import config_of, image_archive, image_members, sha256, written
from support.archives.hostile import (
    IMAGE,
    compressed,
    header,
    names,
    pax,
    retold,
    swollen,
    with_window,
    zeros_with_window,
)
from support.eventually import eventually_sync
from support.http.wire import END, Reply, ask, chunked, field, package, request
from support.receiver.in_process import form
from support.receiver.target import Target

# It may unpack to ten times that.
SMALL, LARGE = ("--max-package-size-gb", "0.01"), ("--max-package-size-gb", "0.07")
LIMIT_BYTES = 10_000_000
TOO_LARGE_MIB = 1000
# The upload of a package that is larger than this gets its response before the package is checked.
LARGE_BYTES = 65 << 20
INVALID, TOO_LARGE = (422, "VALIDATION_ERROR"), (413, "PACKAGE_TOO_LARGE")
GZIP, ZSTD = compressed("gzip", [IMAGE]), compressed("zstd", [IMAGE])
# It names another image in what is not passed on.
STRANGE = written(image_members("oci", "victim:1.0") | {"manifest.json": image_members("oci")["manifest.json"]})
FOLDER = header("folder/", tarfile.DIRTYPE)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One receiver for all refused packages."""
    with Target(tmp_path_factory.mktemp("receiver") / "store", *SMALL) as target:
        yield target


@pytest.fixture
def target(process: Target) -> Iterator[Target]:
    """A receiver that must be unchanged after the test."""
    with process.unharmed():
        yield process
        assert [] == process.deployments()


def sent(target: Target, content: bytes, **fields: str) -> Reply:
    """Send a package as hello:1.0."""
    fields_of_form = b"".join(field(name, value) for name, value in form(content, **fields).items())
    return ask(target.url, request("POST", "/deploy", fields_of_form + package(content) + END))


def without(name: str) -> dict[str, bytes]:
    """Return the image's members except the one whose name ends so."""
    return {key: content for key, content in image_members("legacy").items() if not key.endswith(name)}


ARCHIVES = {
    "a tag that was not announced, legacy": image_archive("legacy", "victim:1.0"),
    "a tag that was not announced, oci": image_archive("oci", "victim:1.0"),
    "a tag that was not announced, containerd": image_archive("containerd", "victim:1.0"),
    "a configuration that lies": written(image_members("legacy", layers=[b"one"], config=config_of([b"another"]))),
    "a second tag": retold({"RepoTags": ["hello:1.0", "victim:1.0"]}),
    "no tag": image_archive("legacy", None),
    "two images": retold({}, {"RepoTags": ["victim:1.0"]}),
    "two images of one name": retold({}, {}),
    "no image": retold(),
    "a layer above": retold({"Layers": ["../../etc/shadow"]}),
    "a link out": header("link", tarfile.SYMTYPE, target="../etc/passwd") + IMAGE,
    "a link out, far below": header("a/b/link", tarfile.SYMTYPE, target="../../../etc/passwd") + IMAGE,
    "a link to the root": header("link", tarfile.SYMTYPE, target="/etc/passwd") + IMAGE,
    "a hard link out": header("link", tarfile.LNKTYPE, target="../etc/passwd") + IMAGE,
    "a hard link to the root": header("link", tarfile.LNKTYPE, target="/etc/passwd") + IMAGE,
    "a link out by pax": pax("linkpath", "/etc/passwd") + header("link", tarfile.SYMTYPE, target="VERSION") + IMAGE,
    "a link to nothing": header("link", tarfile.SYMTYPE, target="nothing") + IMAGE,
    "a link to itself": header("link", tarfile.SYMTYPE, target="link") + IMAGE,
    "a file below a link": header("file") + header("link", tarfile.SYMTYPE, target="file") + header("link/x") + IMAGE,
    "a character device": header("device", tarfile.CHRTYPE) + IMAGE,
    "a block device": header("device", tarfile.BLKTYPE) + IMAGE,
    "a pipe": header("pipe", tarfile.FIFOTYPE) + IMAGE,
    "a sparse file": header("sparse", tarfile.GNUTYPE_SPARSE) + IMAGE,
    "an unknown type": header("what", b"Z") + IMAGE,
    "a negative size": header("file", size=b"\xff" * 12) + IMAGE,
    "a negative size in digits": header("file", size=b"-0000000001\0") + IMAGE,
    "a negative size by pax": pax("size", "-512") + header("file") + IMAGE,
    "a huge size": header("file", size=b"\x80" + (1 << 62).to_bytes(11, "big")) + IMAGE,
    "the hugest size": header("file", size=b"\x80" + b"\xff" * 11) + IMAGE,
    "a huge size by pax": pax("size", str(1 << 62)) + header("file") + IMAGE,
    "a size that is not there": header("file", size=4 << 30) + IMAGE,
    "a folder with a size": header("folder/", tarfile.DIRTYPE, size=512) + IMAGE,
    "a member above": header("../x") + IMAGE,
    "a member at the root": header("/etc/x") + IMAGE,
    "a member above by a detour": header("a/../../x") + IMAGE,
    "a member above by pax": pax("path", "../x") + header("x") + IMAGE,
    "a member at the root by pax": pax("path", "/etc/x") + header("x") + IMAGE,
    "a folder above": header("../x/", tarfile.DIRTYPE) + IMAGE,
    "a million entries": compressed("zstd", [*([FOLDER * 1000] * 1000), IMAGE]),
    "a million entries, gzip": compressed("gzip", [*([FOLDER * 1000] * 1000), IMAGE]),
    "16 million letters in names": compressed("zstd", names(4000)),
    "a name twice": header("manifest.json") + IMAGE,
    "no manifest": written(without("manifest.json")),
    "no layer": written(without("layer.tar")),
    "no configuration": written(without(".json") | {"manifest.json": image_members("legacy")["manifest.json"]}),
    "a manifest that is nested deep": written(without("manifest.json") | {"manifest.json": b"[" * 1_000_000}),
    "a manifest of 8 MB": written(without("manifest.json") | {"manifest.json": b"[" + b" " * (8 << 20) + b"]"}),
    "something after its end": IMAGE + IMAGE,
    "cut short": IMAGE[: len(IMAGE) // 2],
    "no archive": b"x" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_an_archive_that_may_not_be_loaded(target: Target, content: bytes) -> None:
    """Refused with 422."""
    assert INVALID == sent(target, content).refusal


@pytest.mark.parametrize("fields", [{"image_id": f"sha256:{'0' * 64}"}, {"image_tag": "2.0"}, {"compression": "gzip"}])
def test_an_image_that_is_not_what_was_announced(target: Target, fields: dict[str, str]) -> None:
    """Refused with 422."""
    assert INVALID == sent(target, IMAGE, **fields).refusal


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: swollen("gzip", TOO_LARGE_MIB),
    "zstd": lambda: swollen("zstd", TOO_LARGE_MIB),
    "gzip of zeros": lambda: compressed("gzip", [bytes(1 << 20)] * TOO_LARGE_MIB),
    "zstd of zeros": lambda: compressed("zstd", [bytes(1 << 20)] * TOO_LARGE_MIB),
    "gzip in members": lambda: compressed("gzip", [bytes(1 << 20)]) * TOO_LARGE_MIB,
    "zstd in frames": lambda: compressed("zstd", [bytes(1 << 20)]) * TOO_LARGE_MIB,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb(target: Target, bomb: Callable[[], bytes]) -> None:
    """Refused with 413 where it exceeds the limit."""
    assert TOO_LARGE == sent(target, bomb()).refusal


@pytest.mark.parametrize("announced", [True, False])
def test_a_package_over_the_limit(target: Target, *, announced: bool) -> None:
    """Refused with 413, even if by one byte, and also when its size is known only once it has arrived."""
    content = bytes(LIMIT_BYTES + 1)
    body = b"".join(field(name, value) for name, value in form(content).items()) + package(content) + END
    unannounced = {"Content-Length": None, "Transfer-Encoding": "chunked"}
    sent = (
        request("POST", "/deploy", body)
        if announced
        else request("POST", "/deploy", chunked(body), headers=unannounced)
    )

    assert TOO_LARGE == ask(target.url, sent).refusal


STREAMS = {
    "a window of 256 MiB": with_window(18 << 3),
    "a window of 2 GiB": with_window(21 << 3),
    "the largest window": with_window(0xFF),
    "one segment of 1 TiB": with_window(None),
    "bytes after gzip": GZIP + b"trailing",
    "an archive after gzip": GZIP + GZIP,
    "bytes after zstd": ZSTD + b"trailing",
    "a zero after zstd": ZSTD + b"\0",
    "an archive after zstd": ZSTD + ZSTD,
    "gzip after zstd": ZSTD + GZIP,
    "gzip without its end": GZIP[:-1],
    "zstd without its end": ZSTD[:-1],
    "gzip with another checksum": GZIP[:-8] + bytes(4) + GZIP[-4:],
    "gzip with another size": GZIP[:-4] + bytes(4),
    "zstd with another checksum": ZSTD[:-4] + bytes(4),
    "gzip that is damaged": GZIP[: len(GZIP) // 2] + b"\xff" * 20 + GZIP[len(GZIP) // 2 + 20 :],
    "zstd that is damaged": ZSTD[: len(ZSTD) // 2] + b"\xff" * 20 + ZSTD[len(ZSTD) // 2 + 20 :],
    "400,000 empty members": compressed("gzip", []) * 400_000,
    "400,000 empty frames": compressed("zstd", []) * 400_000,
    "a header of gzip without an end": b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (8 << 20),
}


@pytest.mark.parametrize("content", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_that_is_not_valid(target: Target, content: bytes) -> None:
    """Refused with 422: damaged, with bytes after its end, or needing more memory than decompression may use."""
    assert INVALID == sent(target, content).refusal


def test_many_at_once_of_the_largest_accepted_window(tmp_path: Path) -> None:
    """Frames of 5 KB that unpack to 160 MiB in windows of 128 MiB: two are in memory at once, and no more."""
    content = zeros_with_window(17 << 3, 160)
    with Target(tmp_path / "store") as target, ThreadPoolExecutor(4) as threads:
        assert [INVALID] * 4 == [reply.refusal for reply in threads.map(partial(sent, target), [content] * 4)]
        assert (3 * 128) << 20 > target.growth_bytes()


def test_a_valid_package_is_loaded_afterwards(tmp_path: Path) -> None:
    """The same receiver accepts a package that comes close to each kind of fault, and calls its engine."""
    hostile = ARCHIVES["a second tag"], ARCHIVES["a character device"], STREAMS["a window of 2 GiB"], GZIP + b"x"
    sound = [
        swollen("gzip", 10),
        swollen("zstd", 10),
        with_window(10 << 3),
        header("file") + IMAGE,
        retold({}),
        STRANGE,
    ]
    sound.append(GZIP + bytes(600))  # zeros behind gzip are padding
    with Target(tmp_path / "store", *SMALL) as target:
        assert [INVALID] * 4 == [sent(target, content).refusal for content in hostile]
        assert not target.engine_was_called()

        assert sound == [target.kept(sent(target, content)) for content in sound]
        assert target.engine_was_called(20)


def test_many_empty_entries_fill_no_memory(tmp_path: Path) -> None:
    """A package of some KB whose documents hold millions of values is loaded without reading them."""
    entries = b'{"manifests":[' + b"{}," * 20_000 + b"{}]}"
    blobs = {
        f"blobs/sha256/{sha256(content)}": content for content in (entries + b" " * number for number in range(200))
    }
    index = json.dumps({"manifests": [{"digest": f"sha256:{name[-64:]}"} for name in blobs]}).encode()
    content = compressed("zstd", [written(blobs | image_members("oci") | {"index.json": index})])
    with Target(tmp_path / "store", *SMALL) as target:
        assert content == target.kept(sent(target, content))
        assert target.engine_was_called(20)

        assert 100_000 > len(content)
        assert 64 << 20 > target.growth_bytes()


def a_large_bomb() -> bytes:
    """Return a large package that unpacks to too much."""
    large = [header("large", size=LARGE_BYTES), os.urandom(LARGE_BYTES)]
    return compressed("gzip", [*large, header("zeros", size=TOO_LARGE_MIB << 20), *[bytes(1 << 20)] * TOO_LARGE_MIB])


def a_large_device() -> bytes:
    """Return a large package with a device."""
    return header("large", size=LARGE_BYTES) + bytes(LARGE_BYTES) + ARCHIVES["a character device"]


@pytest.mark.parametrize(("make", "code"), [(a_large_bomb, "PACKAGE_TOO_LARGE"), (a_large_device, "VALIDATION_ERROR")])
def test_a_large_package_is_checked_after_its_response(tmp_path: Path, make: Callable[[], bytes], code: str) -> None:
    """The deployment fails, and the engine is not called for it either."""
    with Target(tmp_path / "store", *LARGE) as target:
        assert 201 == sent(target, make()).status
        assert eventually_sync(lambda: "failed" == target.deployments()[0]["status"])

        assert (code, False) == (target.deployments()[0]["error_code"], target.engine_was_called())
