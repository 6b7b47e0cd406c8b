"""The fields of an upload, read the same way on both sides (docs/receiver-protocol.md)."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field

from ..models.base import CheckedModel
from ..models.fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId
from ..models.platform import PlatformName
from ..package.identity import PackageIdentity

__all__ = ["DEPLOY_PATH", "PACKAGE_PART", "UploadFields", "deploy_url"]

DEPLOY_PATH = "/deploy"
PACKAGE_PART = "package"
_DIGEST = r"^sha256:[0-9a-f]{64}\z"


def deploy_url(receiver_url: str) -> str:
    """Return a receiver's URL with `/deploy` at its end, added unless it is there."""
    url = receiver_url.rstrip("/")
    return url if url.endswith(DEPLOY_PATH) else url + DEPLOY_PATH


class UploadFields(CheckedModel):
    """The form fields before the file part, all text on the wire; a field without a value is left out.

    Attributes:
        verify_checksum: Whether the sender requires a verified checksum.
        compression: Of the package file; detected from its first bytes if left out.
        announced_digest: The digest of the image's configuration, or of its manifest as the archive's `index.json` has
            it; `image_id` on the wire.
        platform: What the image is for, `os/architecture[/variant]`.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore")

    package_id: PackageId
    checksum: Checksum
    container_name: ContainerName
    image_tag: ImageTag
    verify_checksum: bool = True
    correlation_id: CorrelationId | None = None
    compression: Compression | None = None
    announced_digest: Annotated[str, Field(pattern=_DIGEST)] | None = Field(default=None, alias="image_id")
    platform: PlatformName | None = None

    @classmethod
    def of(cls, identity: PackageIdentity, *, verify_checksum: bool = True, correlation_id: str | None = None) -> Self:
        """Return the fields that announce a package.

        Args:
            identity: The package.
            verify_checksum: As the field.
            correlation_id: As the field.
        """
        return cls(
            package_id=identity.package_id,
            checksum=identity.checksum,
            container_name=identity.container_name,
            image_tag=identity.image_tag,
            verify_checksum=verify_checksum,
            correlation_id=correlation_id,
            compression=identity.compression,
            image_id=identity.config_digest,
            platform=identity.platform,
        )

    def identity(self, size_bytes: int | None = None) -> PackageIdentity:
        """Return the announced package; its `config_digest` is what the sender announced, and is not checked yet.

        Args:
            size_bytes: Of the package file; None while it is not known.
        """
        return PackageIdentity(
            package_id=self.package_id,
            checksum=self.checksum,
            container_name=self.container_name,
            image_tag=self.image_tag,
            size_bytes=size_bytes,
            compression=self.compression,
            config_digest=self.announced_digest,
            platform=self.platform,
        )

    def form(self) -> dict[str, str]:
        """Return the fields as text under their names on the wire, in the order in which they are sent."""
        return self._as_text(wire_names=True)

    def text_values(self) -> dict[str, str]:
        """Return the fields as text under their attributes' names."""
        return self._as_text(wire_names=False)

    def _as_text(self, *, wire_names: bool) -> dict[str, str]:
        values = self.model_dump(exclude_none=True, by_alias=wire_names)
        return {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
