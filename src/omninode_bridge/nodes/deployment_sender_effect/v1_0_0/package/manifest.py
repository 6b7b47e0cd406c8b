"""A package's record in the store: the file `manifest.json` beside the package file."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from ..models.fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId
from ..models.platform import PlatformName
from .identity import PackageIdentity

__all__ = ["SCHEMA_VERSION", "LayerFacts", "NewerManifestError", "PackageManifest"]

SCHEMA_VERSION = 1
"""Of the manifests that this version writes. A higher one means that this version cannot read the package rightly."""

_DIGEST = r"^sha256:[0-9a-f]{64}\z"


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Digest = Annotated[str, Field(pattern=_DIGEST)]


class NewerManifestError(ValueError):
    """A newer version wrote the manifest.

    Args:
        schema_version: Of the manifest.
    """

    def __init__(self, schema_version: int) -> None:
        super().__init__(f"the manifest has schema version {schema_version}; this version reads {SCHEMA_VERSION}")


class _Schema(BaseModel):
    """The only part of a manifest that every version can read; a manifest without it has version 1."""

    schema_version: int = 1


class LayerFacts(BaseModel):
    """One layer: its diff id, and its bytes in the image archive."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    diff_id: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class PackageManifest(BaseModel):
    """A package and how it was made.

    Attributes:
        schema_version: `SCHEMA_VERSION`; 1 in a manifest that has none.
        engine_image_id: The image's id on the engine that built it; `image_id` in the file.
        config_digest: SHA-256 of the image's configuration; the same on every engine.
        layers: Lowest first.
        filename: Of the package file.
        size_bytes: Of the package file.
        exported_bytes: Of the image archive inside.
        platform: Of the image, `os/architecture[/variant]`; None in a manifest of an earlier version.
        checksum: BLAKE3 of the package file.
        verify_checksum: Whether transfers hash the file while they send it, unless their request decides otherwise.
        created_at: In UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Literal[1] = 1
    package_id: PackageId
    container_name: ContainerName
    image_tag: ImageTag
    engine_image_id: Annotated[Digest, Field(alias="image_id")]
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
        """Return the file's content: JSON in UTF-8, times by RFC 3339."""
        return self.model_dump_json(indent=2, by_alias=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the file's content; unknown keys are ignored.

        Raises:
            NewerManifestError: A newer version wrote it.
            ValueError: It is not a manifest.
        """
        schema = _Schema.model_validate_json(data)
        if schema.schema_version > SCHEMA_VERSION:
            raise NewerManifestError(schema.schema_version)
        return cls.model_validate_json(data)
