"""A receiver's responses to an upload, and to a GET of a deployment (docs/receiver-protocol.md)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..models import DeploymentStatus

__all__ = ["ErrorBody", "ReceiptBody", "StateBody", "wire_names"]


def wire_names(model: type[BaseModel]) -> list[str]:
    """Return the names that the fields of a model have on the wire."""
    return [field.alias or name for name, field in model.model_fields.items()]


class ReceiptBody(BaseModel):
    """The 2xx response to `POST /deploy`; a foreign receiver must send only the first two keys."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    deployment_id: Annotated[str, Field(min_length=1, max_length=256)]
    checksum_verified: bool
    checksum: str | None = None
    status: DeploymentStatus | None = None
    status_url: str | None = None
    platform: str | None = None


class StateBody(BaseModel):
    """The response to `GET /deployments/{id}`.

    Attributes:
        will_run: Whether this receiver starts the container after loading.
        platform: What the image is for, as the sender announced it.
        loaded_image_id: The id that the receiver's engine has for the image; `image_id` on the wire.
        container_id: The id of the started container.
        container_status: As the engine reports it: `running`, `restarting`, `exited`, `paused`, `dead` or `removed`.
        exit_code: The exit code of its process, when it ended last.
        oom_killed: Whether one of its processes was killed for lack of memory when it ended last.
        restart_count: How often the engine has restarted it.
        health: The result of its health check: `starting`, `healthy` or `unhealthy`.
        warnings: Remarks for a person about a start that succeeded.
        received_at: When the package was verified and stored, RFC 3339 in UTC.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)

    deployment_id: str
    status: DeploymentStatus
    will_run: bool = False
    package_id: str | None = None
    checksum: str | None = None
    checksum_verified: bool | None = None
    container_name: str | None = None
    image_tag: str | None = None
    platform: str | None = None
    loaded_image_id: str | None = Field(default=None, alias="image_id")
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
    """The body of every 4xx and 5xx response of our receiver."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    error_code: str | None = None
    error_message: str | None = None
    recovery: str | None = None
