"""What a receiver responds to an upload and to questions about a deployment (docs/receiver-protocol.md)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..models import DeploymentStatus

__all__ = ["ErrorBody", "ReceiptBody", "StateBody"]


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
