"""From an engine's chunks to a package file in one pass."""

import io
from collections.abc import Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageTooLargeError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.compression import decompressed
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hasher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.pack import pack
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Span
from support.archives.archives import image_archive, layer

_ARCHIVE = image_archive(layers=[layer(**{"big.bin": bytes(5 << 20)}), layer()])


def _chunks(data: bytes, size: int = 32_768) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("size", [1000, 32_768, 3 << 20])
def test_one_pass(compression: Compression, size: int) -> None:
    """The package holds the archive, and the result describes what was written."""
    sink = io.BytesIO()

    packed = pack(_chunks(_ARCHIVE, size), sink, compression=compression, max_bytes=1 << 30, span=Span())

    digest = hasher()
    digest.update(sink.getvalue())
    assert _ARCHIVE == b"".join(decompressed([sink.getvalue()], compression, max_bytes=1 << 30))
    assert (digest.hexdigest(), len(sink.getvalue())) == (packed.checksum, packed.size_bytes)
    assert len(_ARCHIVE) == packed.archive.size_bytes
    assert packed.archive.names("hello:1.0")


@pytest.mark.parametrize("size", [1000, 32_768, 3 << 20])
def test_padding_behind_the_archive(size: int) -> None:
    """Padding is left out, and no chunk behind the end is taken."""

    def padded() -> Iterator[bytes]:
        yield from _chunks(_ARCHIVE + bytes(10_240), size)
        raise AssertionError

    sink = io.BytesIO()

    packed = pack(padded(), sink, compression="none", max_bytes=1 << 30, span=Span())

    assert (_ARCHIVE, len(_ARCHIVE)) == (sink.getvalue(), packed.archive.size_bytes)


def test_every_stage_is_timed() -> None:
    """Each stage has a time."""
    span = Span()

    pack(_chunks(_ARCHIVE), io.BytesIO(), compression="gzip", max_bytes=1 << 30, span=span)

    assert {"export_wait", "stream", "compress", "hash", "write"} == {
        name for name, ms in span.stages_ms.items() if ms > 0
    }


def test_limit_is_on_the_package() -> None:
    """The compressed file counts: an archive larger than the limit passes if its package is not."""
    packed = pack(_chunks(_ARCHIVE), io.BytesIO(), compression="gzip", max_bytes=1 << 20, span=Span())

    assert packed.size_bytes < 1 << 20 < packed.archive.size_bytes


def test_stops_at_the_limit() -> None:
    """Nothing beyond the limit is written, and the engine is not read much further."""
    sink = io.BytesIO()

    chunks = _chunks(_ARCHIVE, 1 << 20)
    with pytest.raises(PackageTooLargeError):
        pack(chunks, sink, compression="none", max_bytes=2_500_000, span=Span())

    assert len(sink.getvalue()) <= 2_500_000
    assert sum(map(len, chunks)) == len(_ARCHIVE) - (3 << 20)


def test_no_image() -> None:
    """Bytes that are no image archive are refused."""
    with pytest.raises(ArchiveError):
        pack(iter([b"no archive"]), io.BytesIO(), compression="gzip", max_bytes=1 << 30, span=Span())


def test_the_stream_breaks() -> None:
    """An error of the engine's stream is raised unchanged."""

    def broken() -> Iterator[bytes]:
        yield _ARCHIVE[:2000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        pack(broken(), io.BytesIO(), compression="zstd", max_bytes=1 << 30, span=Span())
