"""Files of an archive, read as layers."""

import bz2
import gzip
import lzma

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageTooLargeError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.descriptor import Layer
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import LayerReader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import Member
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from support.archives.archives import compressed, layer, sha256
from support.archives.hostile import with_window

_LAYER = layer(a=b"a" * 5000)
_DIGEST = f"sha256:{sha256(_LAYER)}"


def _found(content: bytes, size: int = 1 << 20, *, max_bytes: int = 1 << 20, diff_id: str = _DIGEST) -> Layer:
    layers = LayerReader(max_bytes)
    layers.read("x", (memoryview(content)[start : start + size] for start in range(0, len(content), size)))
    return layers.layer(Member("x", "file", len(content)), diff_id)


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 3, 511, 1 << 20])
def test_a_layer_is_read_however_it_is_compressed(kind: Compression, size: int) -> None:
    """Its diff id and size are those of the unpacked layer, however the bytes are split."""
    content = compressed(kind, _LAYER)

    assert Layer(_DIGEST, "x", len(content), kind, len(_LAYER)) == _found(content, size)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b"[:1], bytes(1024)])
def test_files_too_short_to_show_a_compression(content: bytes) -> None:
    """An empty file, and one too short to show a compression, is not compressed."""
    digest = f"sha256:{sha256(content)}"

    assert Layer(digest, "x", len(content), "none", len(content)) == _found(content, diff_id=digest)


def test_another_layer() -> None:
    """A layer that the configuration does not name is refused, with both digests."""
    with pytest.raises(ArchiveError, match=rf"'x' is {_DIGEST}, and the configuration names sha256:0"):
        _found(_LAYER, diff_id="sha256:0")


@pytest.mark.parametrize(
    "content",
    [gzip.compress(gzip.compress(_LAYER)), bz2.compress(_LAYER), lzma.compress(_LAYER), b"\x50\x2a\x4d\x18" + bytes(9)],
    ids=["gzip in gzip", "bzip2", "xz", "zstd's skippable frame"],
)
def test_content_that_engines_would_decompress_again(content: bytes) -> None:
    """A layer whose first bytes show another compression is refused, whatever its diff id."""
    stored = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    with pytest.raises(ArchiveError, match="compressed twice, or in another way"):
        _found(content, diff_id=f"sha256:{sha256(stored)}")


@pytest.mark.parametrize(
    "content",
    [
        compressed("gzip", _LAYER)[:-1],
        compressed("zstd", _LAYER)[:-1],
        compressed("gzip", _LAYER) + b"x",
        b"\x1f\x8bx" * 9,
    ],
    ids=["gzip cut short", "zstd cut short", "something behind", "no gzip"],
)
def test_a_damaged_layer(content: bytes) -> None:
    """It is refused as a layer."""
    with pytest.raises(ArchiveError, match="cannot be read"):
        _found(content)


def test_a_window_of_more_memory_than_programs_take() -> None:
    """A zstd layer may have a window of 32 MiB, and no more."""
    assert _DIGEST == _found(with_window(15 << 3, _LAYER)).diff_id
    with pytest.raises(ArchiveError, match="cannot be read"):
        _found(with_window(16 << 3, _LAYER))


def test_a_damaged_file_that_is_no_layer() -> None:
    """It is no error, as long as no layer is read from it."""
    layers = LayerReader(1 << 20)
    layers.read("x", iter([memoryview(b"\x1f\x8bno")]))
    layers.read("y", iter([memoryview(_LAYER)]))

    assert _DIGEST == layers.layer(Member("y", "file", len(_LAYER)), _DIGEST).diff_id


def test_a_bomb() -> None:
    """A layer that decompresses to more than the limit is refused where it exceeds it."""
    with pytest.raises(PackageTooLargeError):
        _found(gzip.compress(bytes(1 << 20)), max_bytes=(1 << 20) - 1)


def test_the_limit_is_on_all_files_together() -> None:
    """Two files may decompress to as much as one."""
    layers = LayerReader(2 * len(_LAYER) - 1)
    layers.read("x", iter([memoryview(_LAYER)]))
    with pytest.raises(PackageTooLargeError, match=f"more than {2 * len(_LAYER) - 1} bytes"):
        layers.read("y", iter([memoryview(compressed("gzip", _LAYER))]))
