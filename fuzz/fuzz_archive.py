"""The archive reader: whatever the bytes are, it answers or raises `ArchiveError`, the same however they are split.

What it takes, and an archive of our own making of that, are the same image.
"""

import json
import tarfile

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import (
    ArchiveError,
    ArchiveReader,
    ImageArchive,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import Contents
from support.archives.archives import config_of, image_archive, written

__all__ = ["MAX_BYTES", "check", "seeds"]

MAX_BYTES = 16_384
_NAME = "incoming.invalid/x:1"
_UNPACKED_MAX_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_CHECKSUM = slice(148, 156)  # of a header: POSIX.1-2008, pax, "ustar Interchange Format"


def seeds() -> list[bytes]:
    """Answer archives of each format, one with links and long names, and one whose names say nothing of its digests."""
    link = tarfile.TarInfo("link/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../layer.tar"
    long = tarfile.TarInfo("long/" * 12 + "n" * 120)
    layers = [b"one layer", b"another"]
    members = {
        "config": config_of(layers[:1]),
        "layer.tar": layers[0],
        "manifest.json": json.dumps([{"Config": "config", "RepoTags": None, "Layers": ["link/layer.tar"]}]).encode(),
    }
    archives = [
        image_archive("legacy", layers=layers),
        image_archive("oci", layers=layers),
        image_archive("containerd", layers=layers),
        written(members, [(link, b"")]),
        long.tobuf(tarfile.PAX_FORMAT) + written(members, [(link, b"")]),
        long.tobuf(tarfile.GNU_FORMAT) + written(members, [(link, b"")]),
    ]
    return [_trimmed(archive) for archive in archives]


def check(data: bytes) -> None:
    """Read an archive whole and in pieces, as it is and with the checksums of its headers made right."""
    for archive in (data, _repaired(data)):
        size = 1 + sum(archive[:2])  # up to 511, so that pieces fall across blocks
        pieces = [archive[start : start + size] for start in range(0, len(archive), size)]
        image = _read([archive])
        if image != _read(pieces):
            raise AssertionError("the answer hangs on how the archive is split")
        if image is not None:
            _check_written(image, pieces)


def _check_written(image: ImageArchive, pieces: list[bytes]) -> None:
    written_anew = EngineArchive(image, _NAME)
    again = _read([written_anew.begin(), *written_anew.layers(pieces), written_anew.end()])
    if again is None or not again.names(_NAME):
        raise AssertionError("what is written for an engine is no archive of the image")
    if (image.config, _diff_ids(image)) != (again.config, _diff_ids(again)):
        raise AssertionError("what is written for an engine is another image")
    if not all(again.is_image(image_id) for image_id in written_anew.image_ids):
        raise AssertionError("what is written for an engine has another id")


def _diff_ids(image: ImageArchive) -> list[str]:
    return [layer.diff_id for layer in image.stored]


def _read(pieces: list[bytes]) -> ImageArchive | None:
    reader = ArchiveReader(contents=Contents(_UNPACKED_MAX_BYTES))
    try:
        for piece in pieces:
            reader.feed(piece)
        return reader.finish()
    except (ArchiveError, DeploymentSenderError):  # the latter: it unpacks to too much
        return None


def _trimmed(archive: bytes) -> bytes:
    """Leave away what fills an archive up, except for the two blocks that end it."""
    end = -(-len(archive.rstrip(b"\0")) // _BLOCK) * _BLOCK
    return archive[:end] + bytes(2 * _BLOCK)


def _repaired(data: bytes) -> bytes:
    """Let the reader get behind the checksums, which a fuzzer does not guess."""
    fixed = bytearray(data)
    for start in range(0, len(fixed) - _BLOCK + 1, _BLOCK):
        block = fixed[start : start + _BLOCK]
        if block[257:262] == b"ustar":
            block[_CHECKSUM] = b" " * 8
            block[_CHECKSUM] = b"%06o\0 " % sum(block)
            fixed[start : start + _BLOCK] = block
    return bytes(fixed)
