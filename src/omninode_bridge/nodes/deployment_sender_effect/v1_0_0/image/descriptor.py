"""The parts of an image as documents describe them: descriptors, layers, indexes (OCI image-spec 1.1).

Documents are read as Go's encoding/json reads them: a field that is absent or null has its empty value, one of another
type is an error.
"""

from dataclasses import dataclass
from typing import Any, Self

from ..models.fields import Compression
from .go_json import field

__all__ = ["Descriptor", "ImageIndex", "Layer", "blob_path"]


def blob_path(digest: str) -> str:
    """Return where an OCI layout keeps the content with this digest (image-layout.md, "Blobs")."""
    return f"blobs/{digest.replace(':', '/')}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Names one content (descriptor.md).

    Attributes:
        media_type: What kind of content it is.
        digest: Of the content, `sha256:...`; also of another algorithm, or no digest at all, in what others wrote.
        size_bytes: Of the content.
    """

    media_type: str
    digest: str
    size_bytes: int

    @classmethod
    def parse(cls, document: Any, where: str) -> Self:
        """Read one from JSON.

        Args:
            document: The parsed JSON.
            where: The document's name, for messages.

        Raises:
            ArchiveError: It is no object, or a field is of another type.
        """
        return cls(
            media_type=field(document, "mediaType", str, where) or "",
            digest=field(document, "digest", str, where) or "",
            size_bytes=field(document, "size", int, where) or 0,
        )

    def to_json(self) -> dict[str, Any]:
        """Return its JSON object."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Lists the manifests of images, and other indexes (image-index.md).

    Attributes:
        manifests: In the document's order.
    """

    manifests: tuple[Descriptor, ...]

    @classmethod
    def parse(cls, document: Any, where: str) -> Self:
        """Read one from JSON; arguments and errors as for `Descriptor.parse`."""
        entries = field(document, "manifests", list, where) or []
        return cls(tuple(Descriptor.parse(entry, where) for entry in entries))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image, and where an archive holds it (layer.md).

    Attributes:
        diff_id: SHA-256 of the uncompressed layer, `sha256:...`; the same on every engine.
        path: The member of the archive that holds it.
        size_bytes: Size of that member, which may be compressed.
        compression: Of that member; None where the layers were not read.
        unpacked_bytes: Size of the uncompressed layer; None where the layers were not read.
    """

    diff_id: str
    path: str
    size_bytes: int
    compression: Compression | None = None
    unpacked_bytes: int | None = None
