"""Stored packages, read before they are loaded."""

import gzip
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import (
    StoppedError,
    check_package,
    written_for_engine,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from support.archives.archives import compressed, config_of, image_archive, image_members, layer, sha256, written

_MAX_BYTES = 1_000_000


class Stored:
    """A package on the disk, with what was announced of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "package"

    def check(self, content: bytes, **announced: Any) -> str:
        """Store and check a package; answer its config digest."""
        self.path.write_bytes(content)
        good: dict[str, Any] = {"package_id": str(uuid4()), "container_name": "hello", "image_tag": "1.0"}
        fields = UploadFields(**good | {"checksum": blake3(content).hexdigest()} | announced)
        self.deployment = Deployment.new("x", fields, size_bytes=len(content))
        self.image: ImageArchive = check_package(
            self.path, self.deployment, max_bytes=_MAX_BYTES, stop=threading.Event()
        )
        return self.image.config_digest

    def written(self) -> Iterator[bytes]:
        """Write the archive for the engine."""
        archive = EngineArchive(self.image, "incoming.invalid/x:1")
        return written_for_engine(self.path, self.deployment, archive, max_bytes=_MAX_BYTES)

    def refused(self, content: bytes, **announced: Any) -> tuple[ErrorCode, str]:
        """Store and check a package that is wrong; answer why."""
        with pytest.raises(DeploymentSenderError) as caught:
            self.check(content, **announced)
        return caught.value.code, caught.value.message


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """A place for one."""
    return Stored(tmp_path)


_DIGEST = f"sha256:{sha256(config_of([layer()]))}"


@pytest.mark.parametrize("announced", [None, "gzip"])
def test_a_gzipped_package_is_read(stored: Stored, announced: str | None) -> None:
    """Whether that was announced or not."""
    assert stored.check(gzip.compress(image_archive()), compression=announced) == _DIGEST


def test_a_zstd_package_is_read(stored: Stored) -> None:
    """Engines do not take it, so it is unpacked here."""
    assert stored.check(compressed("zstd", image_archive()), image_id=_DIGEST) == _DIGEST


def test_a_plain_package_is_read(stored: Stored) -> None:
    """As `docker save` writes it."""
    assert stored.check(image_archive(), compression="none") == _DIGEST


def test_another_name_in_the_archive_is_refused(stored: Stored) -> None:
    """Loading it would move that name."""
    expected = "the package was announced as hello:1.0, and its image has other:1.0"
    assert stored.refused(image_archive(reference="other:1.0")) == (ErrorCode.VALIDATION_ERROR, expected)


def test_an_archive_without_a_name_is_refused(stored: Stored) -> None:
    """Nothing would have the announced name then."""
    expected = "the package was announced as hello:1.0, and its image has no name at all"
    assert stored.refused(image_archive(reference=None)) == (ErrorCode.VALIDATION_ERROR, expected)


def test_another_image_than_announced_is_refused(stored: Stored) -> None:
    """Where an id was announced."""
    other = f"sha256:{'0' * 64}"
    expected = f"the image in the package is {_DIGEST}, not {other}"
    assert stored.refused(image_archive(), image_id=other) == (ErrorCode.VALIDATION_ERROR, expected)


@pytest.mark.parametrize(
    ("content", "announced"), [(b"no archive", None), (b"no gzip", "gzip"), (gzip.compress(b"x", mtime=0)[:-1], None)]
)
def test_what_holds_no_image_is_refused(stored: Stored, content: bytes, announced: str | None) -> None:
    """Whether the archive or its compression is wrong."""
    code, message = stored.refused(content, compression=announced)
    assert code is ErrorCode.VALIDATION_ERROR
    assert message.startswith("the package holds no image that may be loaded: ")


def test_a_package_that_was_damaged_on_the_disk_is_refused(stored: Stored) -> None:
    """It is not what was verified when it came."""
    expected = (ErrorCode.CHECKSUM_MISMATCH, "the stored package is damaged")
    assert stored.refused(image_archive(), checksum="0" * 64) == expected


@pytest.mark.parametrize("content", [image_archive()[:-1024], gzip.compress(image_archive())[:-1], b"no archive"])
def test_damage_that_leaves_no_image_is_told_as_damage(stored: Stored, content: bytes) -> None:
    """Not as a mistake of whoever made the package."""
    expected = (ErrorCode.CHECKSUM_MISMATCH, "the stored package is damaged")
    assert stored.refused(content, checksum=blake3(b"as it was").hexdigest()) == expected


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_what_is_loaded_is_what_was_checked(stored: Stored, kind: Compression) -> None:
    """The configuration and the layers come out byte for byte, and nothing else does."""
    layers = [layer(a=bytes(200_000)), layer(b=b"b")]
    stored.check(compressed(kind, written({"other": b"x"} | image_members("legacy", layers=layers))))
    with tarfile.open(fileobj=io.BytesIO(b"".join(stored.written()))) as tar:
        names = tar.getnames()
        blobs = [tar.extractfile(f"blobs/sha256/{sha256(content)}") for content in [*layers, config_of(layers)]]
        assert [*layers, config_of(layers)] == [blob.read() for blob in blobs if blob is not None]
    assert 3 + len(layers) + 2 == len(names)


@pytest.mark.parametrize("name", ["incoming.invalid/deployment", "INCOMING.invalid/x"])
def test_a_name_that_the_receiver_keeps_for_itself_is_refused(stored: Stored, name: str) -> None:
    """It would be taken for one of a load that was broken off."""
    code, message = stored.refused(image_archive(reference=f"{name}:1.0"), container_name=name)
    assert (ErrorCode.VALIDATION_ERROR, "the receiver keeps names of incoming.invalid for itself") == (code, message)


@pytest.mark.parametrize("padding", [0, 512, 10_240])
@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_the_end_of_a_package_that_was_damaged_after_the_check_is_withheld(
    stored: Stored, kind: Compression, padding: int
) -> None:
    """However many zeros come after it: who loads the rest has no whole archive."""
    layers = [layer(a=os.urandom(700_000))]
    content = compressed(kind, image_archive(layers=layers) + bytes(padding))
    stored.check(content)
    middle = len(content) // 2
    stored.path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    seen: list[bytes] = []
    with pytest.raises(DeploymentSenderError, match="CHECKSUM_MISMATCH: the stored package is damaged"):
        seen.extend(stored.written())
    assert b"manifest.json" not in b"".join(seen)
    assert sha256(config_of(layers)).encode() not in b"".join(seen)


def test_damage_behind_the_last_layer_is_found_too(stored: Stored) -> None:
    """What is not unpacked again belongs to the checksum all the same."""
    content = image_archive()
    stored.check(content)
    stored.path.write_bytes(content[:-1] + b"x")
    with pytest.raises(DeploymentSenderError, match="CHECKSUM_MISMATCH"):
        list(stored.written())


def test_a_bomb_is_refused(stored: Stored) -> None:
    """At the limit on what comes out."""
    code, _ = stored.refused(gzip.compress(image_archive(layers=[bytes(_MAX_BYTES)])))
    assert code is ErrorCode.PACKAGE_TOO_LARGE


def test_reading_stops_when_told(stored: Stored) -> None:
    """Before the next piece."""
    stored.check(image_archive())
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        check_package(stored.path, stored.deployment, max_bytes=_MAX_BYTES, stop=stop)
