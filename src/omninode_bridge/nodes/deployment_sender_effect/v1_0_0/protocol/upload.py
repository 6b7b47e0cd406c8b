"""The fields of an upload and the answers to it, read the same way on both sides (docs/receiver-protocol.md)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..models import DeploymentStatus, InputModel
from ..models.fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId
from ..models.platform import PlatformName

__all__ = ["DEPLOY_PATH", "PACKAGE_PART", "ErrorBody", "ReceiptBody", "StateBody", "UploadFields", "deploy_url"]

DEPLOY_PATH = "/deploy"
PACKAGE_PART = "package"
_IMAGE_ID = r"^sha256:[0-9a-f]{64}\z"


def deploy_url(receiver_url: str) -> str:
    """Add `/deploy` to a receiver's URL unless it ends so."""
    url = receiver_url.rstrip("/")
    return url if url.endswith(DEPLOY_PATH) else url + DEPLOY_PATH


class UploadFields(InputModel):
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


class ReceiptBody(BaseModel):
    """The 2xx answer to `POST /deploy`; only the first two keys are asked of a foreign receiver."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    deployment_id: Annotated[str, Field(min_length=1, max_length=256)]
    checksum_verified: bool
    checksum: str | None = None
    status: DeploymentStatus | None = None
    status_url: str | None = None
    platform: str | None = None


class StateBody(BaseModel):
    """The answer to `GET /deployments/{id}`.

    Attributes:
        will_run: Whether this receiver starts the container after loading.
        platform: What the sender says that the image is for.
        container_id: The started container.
        container_status: What its engine says of it: `running`, `restarting`, `exited`, `paused`, `dead` or `removed`.
        exit_code: Of its process, when it ended last.
        oom_killed: Whether a process of it was killed for memory when it ended last.
        restart_count: How often the engine has started it again.
        health: By its own health check: `starting`, `healthy` or `unhealthy`.
        warnings: What a person should know of a start that went well.
        received_at: When the package was verified and stored, RFC 3339 in UTC.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    deployment_id: str
    status: DeploymentStatus
    will_run: bool = False
    package_id: str | None = None
    checksum: str | None = None
    checksum_verified: bool | None = None
    container_name: str | None = None
    image_tag: str | None = None
    platform: str | None = None
    image_id: str | None = None
    container_id: str | None = None
    container_status: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    restart_count: int | None = None
    health: str | None = None
    warnings: tuple[str, ...] = ()
    correlation_id: str | None = None
    received_at: str | None = None
    updated_at: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class ErrorBody(BaseModel):
    """The body of every 4xx and 5xx answer of our receiver."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    error_code: str | None = None
    error_message: str | None = None
    recovery: str | None = None
