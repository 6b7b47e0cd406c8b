"""What the store remembers of a package, as `manifest.json` beside it."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from ..models.fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId
from ..models.platform import PlatformName
from .identity import PackageIdentity

__all__ = ["LayerFacts", "PackageManifest"]

_DIGEST = r"^sha256:[0-9a-f]{64}\z"


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Digest = Annotated[str, Field(pattern=_DIGEST)]


class LayerFacts(BaseModel):
    """One layer: its diff id, and its bytes in the image archive."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    diff_id: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class PackageManifest(BaseModel):
    """A package, for every later step.

    Attributes:
        image_id: The id by which the engine that built it knows the image.
        config_digest: SHA-256 of the image's configuration; the same on every engine.
        layers: Lowest first.
        filename: Of the package file.
        size_bytes: Of the package file.
        exported_bytes: Of the image archive inside.
        platform: What the image is for, `os/architecture[/variant]`; None in a manifest of an earlier version.
        checksum: BLAKE3 of the package file.
        verify_checksum: Whether transfers check the file first unless they say otherwise.
        created_at: In UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    package_id: PackageId
    container_name: ContainerName
    image_tag: ImageTag
    image_id: Digest
    config_digest: Digest
    layers: tuple[LayerFacts, ...]
    platform: PlatformName | None = None
    compression: Compression
    filename: Literal["image.tar", "image.tar.gz", "image.tar.zst"]
    size_bytes: Annotated[int, Field(ge=0)]
    exported_bytes: Annotated[int, Field(ge=0)]
    checksum: Checksum
    verify_checksum: bool
    correlation_id: CorrelationId | None = None
    created_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    build_duration_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    export_duration_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def identity(self) -> PackageIdentity:
        """The facts that identify the package wherever it is."""
        return PackageIdentity(
            package_id=self.package_id,
            checksum=self.checksum,
            container_name=self.container_name,
            image_tag=self.image_tag,
            size_bytes=self.size_bytes,
            compression=self.compression,
            config_digest=self.config_digest,
            platform=self.platform,
        )

    def to_json(self) -> bytes:
        """Write it: JSON in UTF-8, times by RFC 3339."""
        return self.model_dump_json(indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read it; unknown keys are passed over.

        Raises:
            ValueError: It is no manifest of a version that is known here.
        """
        return cls.model_validate_json(data)
