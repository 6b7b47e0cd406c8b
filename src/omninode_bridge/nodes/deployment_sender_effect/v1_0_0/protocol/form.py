"""The fields of an upload, read the same way on both sides (docs/receiver-protocol.md)."""

from typing import Annotated

from pydantic import ConfigDict, Field

from ..models.base import CheckedModel
from ..models.fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId
from ..models.platform import PlatformName

__all__ = ["DEPLOY_PATH", "PACKAGE_PART", "UploadFields", "deploy_url"]

DEPLOY_PATH = "/deploy"
PACKAGE_PART = "package"
_IMAGE_ID = r"^sha256:[0-9a-f]{64}\z"


def deploy_url(receiver_url: str) -> str:
    """Add `/deploy` to a receiver's URL unless it ends so."""
    url = receiver_url.rstrip("/")
    return url if url.endswith(DEPLOY_PATH) else url + DEPLOY_PATH


class UploadFields(CheckedModel):
    """The form fields before the file part, all text on the wire; a field without a value is left out.

    Attributes:
        image_id: The config digest of the image, or the digest in the archive's `index.json`.
        platform: What the image is for, `os/architecture[/variant]`.
        compression: Of the package file; told from its first bytes if left out.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore")

    package_id: PackageId
    checksum: Checksum
    container_name: ContainerName
    image_tag: ImageTag
    verify_checksum: bool = True
    correlation_id: CorrelationId | None = None
    compression: Compression | None = None
    image_id: Annotated[str, Field(pattern=_IMAGE_ID)] | None = None
    platform: PlatformName | None = None

    def form(self) -> dict[str, str]:
        """The fields as text, in the order in which they are sent."""
        fields = self.model_dump(exclude_none=True)
        return {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
