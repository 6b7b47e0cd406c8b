"""Compression: a stream is read back the same however it is cut into chunks, and damage is noticed."""

import gzip
import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageTooLargeError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.compression import (
    CompressionError,
    decompressed,
    detect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from support.archives.archives import compressed

_PACKED: list[Compression] = ["gzip", "zstd"]
_kinds = st.sampled_from([*_PACKED, "none"])
_packed_kinds = st.sampled_from(_PACKED)
_small = st.binary(max_size=300)
_cuts = st.lists(st.floats(0, 1), max_size=6)
_UNLIMITED = 1 << 40
# Where what ISA-L reads at once (512 KiB) and our pieces (1 MiB) end, and one byte to either side.
_border_sizes = st.builds(
    int.__add__, st.sampled_from([1 << 16, 1 << 19, 1 << 20, (1 << 20) + (1 << 19), 2 << 20]), st.integers(-1, 1)
)
_MAX_PIECE = 1 << 20


def _cut(data: bytes, cuts: Iterable[float]) -> list[bytes]:
    """Cut at these places, of 0 to 1."""
    places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def _unpacked(chunks: Iterable[bytes], kind: Compression) -> bytes | None:
    """Return the content; None if the stream is refused."""
    try:
        return b"".join(decompressed(chunks, kind, max_bytes=_UNLIMITED))
    except CompressionError:
        return None


def _content(seed: int, size: int) -> bytes:
    """Make bytes of which some can be compressed and some cannot, in runs of any length."""
    dice, content = random.Random(seed), bytearray()
    while len(content) < size:
        length = dice.randint(1, 1 << 18)
        content += dice.choice([bytes(length), dice.randbytes(length), b"a layer of an image " * (length // 20)])
    return bytes(content[:size])


@settings(max_examples=40)
@given(_kinds, st.integers(0, 9), _border_sizes, _cuts, _cuts)
def test_a_round_trip_at_the_borders_of_chunks(
    kind: Compression, seed: int, size: int, cuts: list[float], packed_cuts: list[float]
) -> None:
    """Content comes in pieces of at most 1 MiB, up to exactly the limit."""
    content = _content(seed, size)
    packed = _cut(compressed(kind, *_cut(content, cuts)), packed_cuts)

    pieces = list(decompressed(packed, kind, max_bytes=size))

    assert content == b"".join(pieces)
    assert max(map(len, pieces)) <= _MAX_PIECE
    with pytest.raises(PackageTooLargeError):
        list(decompressed(packed, kind, max_bytes=size - 1))


@given(_packed_kinds, st.lists(_small, min_size=1, max_size=4), _cuts)
def test_parts_in_a_row_are_one_stream(kind: Compression, contents: list[bytes], cuts: list[float]) -> None:
    """Members of gzip and frames of zstd in a row are one stream, which its first bytes show."""
    stream = b"".join(compressed(kind, content) for content in contents)

    assert b"".join(contents) == _unpacked(_cut(stream, cuts), kind)
    assert kind == detect(stream[:4])


@settings(max_examples=30)
@given(_packed_kinds, _small, _cuts)
def test_a_stream_that_is_cut_short_is_refused(kind: Compression, content: bytes, cuts: list[float]) -> None:
    """A stream is refused wherever it is cut."""
    stream = compressed(kind, content)

    assert [None] * len(stream) == [_unpacked(_cut(stream[:end], cuts), kind) for end in range(len(stream))]


@given(_packed_kinds, _small, st.binary(min_size=1, max_size=20), _cuts)
def test_what_follows_the_stream_is_refused(kind: Compression, content: bytes, more: bytes, cuts: list[float]) -> None:
    """A few bytes, which are no stream themselves, are refused, but for zeros behind gzip (as in gunzip)."""
    expected = content if kind == "gzip" and not more.strip(b"\0") else None

    assert expected == _unpacked(_cut(compressed(kind, content) + more, cuts), kind)


@given(_packed_kinds, _small, st.floats(0, 1, exclude_max=True), st.integers(1, 255), _cuts)
def test_a_damaged_stream_is_refused_or_has_the_same_content(
    kind: Compression, content: bytes, where: float, damage: int, cuts: list[float]
) -> None:
    """A byte without a meaning here, such as gzip's time, may have any value."""
    stream = bytearray(compressed(kind, content))
    stream[int(where * len(stream))] ^= damage

    assert _unpacked(_cut(bytes(stream), cuts), kind) in {None, content}


@st.composite
def _hostile(draw: st.DrawFn, kind: Compression) -> bytes:
    """Make what is nearly a stream: parts of sound ones, and any bytes between them."""
    sound = compressed(kind, draw(_small))
    crumbs = draw(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.binary(max_size=6)), max_size=4))
    return sound + b"".join(sound[int(a * len(sound)) : int(b * len(sound))] + more for a, b, more in crumbs)


@given(st.data(), _packed_kinds, _cuts)
def test_any_bytes_have_one_meaning(data: st.DataObject, kind: Compression, cuts: list[float]) -> None:
    """The result is the same however they are split, and no other error is raised."""
    stream = data.draw(st.binary(max_size=60) | _hostile(kind))

    assert _unpacked([stream], kind) == _unpacked(_cut(stream, cuts), kind)
    assert _unpacked([stream], kind) == _unpacked((bytes([byte]) for byte in stream), kind)


@given(st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08" + tail) | _hostile("gzip"))
def test_accepted_gzip_is_what_python_reads(stream: bytes) -> None:
    """Python reads the same content from every stream that is accepted here."""
    taken = _unpacked([stream], "gzip")

    assert taken is None or taken == gzip.decompress(stream)
