"""Identifies a package: in a store, during a transfer and at a receiver."""

from dataclasses import dataclass

from ..models.fields import Compression

__all__ = ["PackageIdentity"]


@dataclass(frozen=True, slots=True)
class PackageIdentity:
    """A package and the image in it.

    Attributes:
        package_id: A UUID, chosen by the node that made the package.
        checksum: BLAKE3 of the package file, 64 hex digits.
        size_bytes: Of the package file; None where only the announcement is known.
        container_name: The image's name without its tag.
        image_tag: The image's tag.
        compression: Of the package file; None where it is to be detected from its first bytes.
        config_digest: SHA-256 of the image's configuration, `sha256:...` (OCI image-spec); None where unknown.
        platform: Of the image, `os/architecture[/variant]`; None where unknown.
    """

    package_id: str
    checksum: str
    container_name: str
    image_tag: str
    size_bytes: int | None = None
    compression: Compression | None = None
    config_digest: str | None = None
    platform: str | None = None

    @property
    def reference(self) -> str:
        """The image's name, `container_name:image_tag`."""
        return f"{self.container_name}:{self.image_tag}"
