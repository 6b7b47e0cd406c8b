"""The archive reader: it accepts or refuses any bytes, the same however they are split.

An archive that it accepts, and the one that is written from it for an engine, hold the same image.
"""

import json
import tarfile

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageTooLargeError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive, read_archive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import LayerReader
from support.archives.archives import config_of, image_archive, written

__all__ = ["MAX_BYTES", "check", "seeds"]

MAX_BYTES = 16_384
_NAME = "incoming.invalid/x:1"
_UNPACKED_MAX_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_CHECKSUM = slice(148, 156)  # of a header: POSIX.1-2008, pax, "ustar Interchange Format"


def seeds() -> list[bytes]:
    """Return archives of each format, and some with links, long names, and names without a digest."""
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
    """Read an archive whole and in pieces, as it is and with the checksums of its headers corrected."""
    for archive in (data, _repaired(data)):
        size = 1 + sum(archive[:2])  # up to 511, so that pieces fall across blocks
        pieces = [archive[start : start + size] for start in range(0, len(archive), size)]
        image = _read([archive])
        if image != _read(pieces):
            raise AssertionError("the result depends on how the archive is split")
        if image is not None:
            _check_written(image, pieces)


def _check_written(image: ImageArchive, pieces: list[bytes]) -> None:
    written_anew = EngineArchive(image, _NAME)
    again = _read([written_anew.begin(), *written_anew.layers(pieces), written_anew.end()])
    if again is None or not again.names(_NAME):
        raise AssertionError("the archive for the engine cannot be read")
    if (image.config, _diff_ids(image)) != (again.config, _diff_ids(again)):
        raise AssertionError("the archive for the engine holds another image")
    if not all(again.is_image(image_id) for image_id in written_anew.image_ids):
        raise AssertionError("the archive for the engine has another id")


def _diff_ids(image: ImageArchive) -> list[str]:
    return [layer.diff_id for layer in image.layers]


def _read(pieces: list[bytes]) -> ImageArchive | None:
    try:
        return read_archive(pieces, layers=LayerReader(_UNPACKED_MAX_BYTES))
    except (ArchiveError, PackageTooLargeError):
        return None


def _trimmed(archive: bytes) -> bytes:
    """Remove the padding of an archive, except for the two blocks that end it."""
    end = -(-len(archive.rstrip(b"\0")) // _BLOCK) * _BLOCK
    return archive[:end] + bytes(2 * _BLOCK)


def _repaired(data: bytes) -> bytes:
    """Correct the checksums of headers, which a fuzzer does not guess."""
    fixed = bytearray(data)
    for start in range(0, len(fixed) - _BLOCK + 1, _BLOCK):
        block = fixed[start : start + _BLOCK]
        if block[257:262] == b"ustar":
            block[_CHECKSUM] = b" " * 8
            block[_CHECKSUM] = b"%06o\0 " % sum(block)
            fixed[start : start + _BLOCK] = block
    return bytes(fixed)
