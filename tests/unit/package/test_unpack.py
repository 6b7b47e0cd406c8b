"""Package files, checked and rewritten for an engine."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    InvalidInputError,
    OperationError,
    PackageDamagedError,
    PackageTooLargeError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import HashingStoppedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.unpack import check_package, rewritten_for_engine
from support.archives.archives import compressed, config_of, image_archive, image_members, layer, sha256, written

_MAX_BYTES = 1_000_000


class Stored:
    """A package on the disk, with what was announced of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "package"

    def check(
        self, content: bytes, *, announced_digest: str | None = None, stop: bool = False, **announced: Any
    ) -> str:
        """Store and check a package; return its config digest."""
        self.path.write_bytes(content)
        good: dict[str, Any] = {"package_id": "x", "container_name": "hello", "image_tag": "1.0"}
        self.package = PackageIdentity(**good | {"checksum": blake3(content).hexdigest()} | announced)
        self.image: ImageArchive = check_package(
            self.path,
            self.package,
            announced_digest=announced_digest,
            max_bytes=_MAX_BYTES,
            should_stop=lambda: stop,
        )
        return self.image.config_digest

    def written(self) -> Iterator[bytes]:
        """Write the archive for the engine."""
        archive = EngineArchive(self.image, "incoming.invalid/x:1")
        return rewritten_for_engine(self.path, self.package, archive, max_bytes=_MAX_BYTES)

    def refused(self, content: bytes, **announced: Any) -> tuple[type[OperationError], str]:
        """Store and check a package that is wrong; return the error's type and message."""
        with pytest.raises(OperationError) as caught:
            self.check(content, **announced)
        return caught.type, caught.value.message


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Return a place for one package."""
    return Stored(tmp_path)


_DIGEST = f"sha256:{sha256(config_of([layer()]))}"


@pytest.mark.parametrize("announced", [None, "gzip"])
def test_a_gzipped_package_is_read(stored: Stored, announced: str | None) -> None:
    """The compression is detected where it was not announced."""
    assert _DIGEST == stored.check(gzip.compress(image_archive()), compression=announced)


def test_a_zstd_package_is_read(stored: Stored) -> None:
    """Zstd is decompressed here, as engines do not read it."""
    assert _DIGEST == stored.check(compressed("zstd", image_archive()), announced_digest=_DIGEST)


def test_a_plain_package_is_read(stored: Stored) -> None:
    """A package may be as `docker save` writes it."""
    assert _DIGEST == stored.check(image_archive(), compression="none")


def test_another_name_in_the_archive_is_refused(stored: Stored) -> None:
    """Loading it would move the other name."""
    expected = "the package was announced as hello:1.0, and its image has other:1.0"
    assert (InvalidInputError, expected) == stored.refused(image_archive(reference="other:1.0"))


def test_an_archive_without_a_name_is_refused(stored: Stored) -> None:
    """Loading it would give no image the announced name."""
    expected = "the package was announced as hello:1.0, and its image has no name at all"
    assert (InvalidInputError, expected) == stored.refused(image_archive(reference=None))


def test_another_image_than_announced_is_refused(stored: Stored) -> None:
    """The image must have the announced id, if there is one."""
    other = f"sha256:{'0' * 64}"
    expected = f"the image in the package is {_DIGEST}, not {other}"
    assert (InvalidInputError, expected) == stored.refused(image_archive(), announced_digest=other)


@pytest.mark.parametrize(
    ("content", "announced"), [(b"no archive", None), (b"no gzip", "gzip"), (gzip.compress(b"x", mtime=0)[:-1], None)]
)
def test_what_holds_no_image_is_refused(stored: Stored, content: bytes, announced: str | None) -> None:
    """The archive or its compression may be wrong."""
    error, message = stored.refused(content, compression=announced)

    assert InvalidInputError is error
    assert message.startswith("the package holds no image that may be loaded: ")


def test_a_package_that_was_damaged_on_the_disk_is_refused(stored: Stored) -> None:
    """The file is not what was verified when it arrived."""
    expected = (PackageDamagedError, "the stored package is damaged")
    assert expected == stored.refused(image_archive(), checksum="0" * 64)


@pytest.mark.parametrize("content", [image_archive()[:-1024], gzip.compress(image_archive())[:-1], b"no archive"])
def test_damage_that_leaves_no_image_is_reported_as_damage(stored: Stored, content: bytes) -> None:
    """And not as a mistake of the program that made the package."""
    expected = (PackageDamagedError, "the stored package is damaged")
    assert expected == stored.refused(content, checksum=blake3(b"as it was").hexdigest())


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


@pytest.mark.parametrize("padding", [0, 512, 10_240])
@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_the_end_of_a_package_that_was_damaged_after_the_check_is_withheld(
    stored: Stored, kind: Compression, padding: int
) -> None:
    """However many zeros come after it: an engine that loads the rest has no whole archive."""
    layers = [layer(a=os.urandom(700_000))]
    content = compressed(kind, image_archive(layers=layers) + bytes(padding))
    stored.check(content)
    middle = len(content) // 2
    stored.path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    seen: list[bytes] = []
    with pytest.raises(PackageDamagedError, match="the stored package is damaged"):
        seen.extend(stored.written())
    assert b"manifest.json" not in b"".join(seen)
    assert sha256(config_of(layers)).encode() not in b"".join(seen)


def test_damage_behind_the_last_layer_is_found_too(stored: Stored) -> None:
    """The part that is not decompressed again belongs to the checksum, too."""
    content = image_archive()
    stored.check(content)
    stored.path.write_bytes(content[:-1] + b"x")
    with pytest.raises(PackageDamagedError):
        list(stored.written())


def test_a_bomb_is_refused(stored: Stored) -> None:
    """A package that decompresses to more than the limit is refused."""
    error, _ = stored.refused(gzip.compress(image_archive(layers=[bytes(_MAX_BYTES)])))

    assert PackageTooLargeError is error


@pytest.mark.parametrize("content", [image_archive(), b"no archive"])
def test_reading_stops(stored: Stored, content: bytes) -> None:
    """Before the next piece, also of a package that is only hashed."""
    with pytest.raises(HashingStoppedError):
        stored.check(content, stop=True)
