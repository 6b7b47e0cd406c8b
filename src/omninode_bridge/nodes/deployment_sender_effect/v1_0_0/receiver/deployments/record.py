"""The record of one deployment: which package arrived, and what the receiver has done with it."""

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from ...models import DeploymentStatus
from ...package.identity import PackageIdentity
from ...protocol.form import UploadFields
from ...protocol.responses import StateBody
from .documents import SCHEMA_KEY, SCHEMA_VERSION, parse_document

__all__ = ["Deployment", "timestamp"]

# A sender announces a digest that may be the configuration's or the index's; only the former is an identity's.
_IDENTITY_KEYS = tuple(field.name for field in fields(PackageIdentity) if field.name != "config_digest")


def timestamp() -> str:
    """Return the time: RFC 3339, UTC, with microseconds, so that texts sort as times."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Deployment(BaseModel):
    """One package and its image, from the arrival of the package on: what was done with it, not what is still to do.

    On disk and in responses the record is one flat JSON object (`to_document`); two keys there have other names.

    Attributes:
        identity: The package and the image's name, as the sender announced them.
        announced_digest: The digest of the image that the sender announced; on disk `announced_image_id`.
        status: `received` -> `loading` -> `loaded` -> `running`; from each of them `replaced` or `failed`.
        sequence: Grows with each package that arrives, also one that arrives again: the latest takes precedence.
        start_pending: The image is loaded; its container is still to be started, which a stop of the receiver delays.
        loaded_image_id: The engine's id of the image, once it was loaded and checked; on disk `image_id`.
        container_id: The container that was started for it since its package last arrived.
        container_status: The container's state as last seen, as are the next four fields (protocol/responses.py).
        warnings: Facts about a successful start that an operator should know.
        error_code: The public code of its failure, or of the reason why it waits; `error_message` belongs to it.
        received_at: When the package was stored, as `timestamp` writes it.
        updated_at: When the record last changed, as `timestamp` writes it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    deployment_id: str
    identity: PackageIdentity
    announced_digest: str | None = Field(default=None, alias="announced_image_id")
    correlation_id: str | None = None
    received_at: str
    updated_at: str
    sequence: int = 0
    status: DeploymentStatus = "received"
    start_pending: bool = False
    loaded_image_id: str | None = Field(default=None, alias="image_id")
    container_id: str | None = None
    container_status: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    restart_count: int | None = None
    health: str | None = None
    warnings: tuple[str, ...] = ()
    error_code: str | None = None
    error_message: str | None = None

    @classmethod
    def new(cls, deployment_id: str, fields: UploadFields, *, size_bytes: int) -> "Deployment":
        """Return the record of a package that has just arrived.

        Args:
            deployment_id: A new one.
            fields: What the sender announced.
            size_bytes: Of the package file.
        """
        now = timestamp()
        return cls(
            deployment_id=deployment_id,
            identity=replace(fields.identity(size_bytes), config_digest=None),  # nothing has compared it yet
            announced_digest=fields.announced_digest,
            correlation_id=fields.correlation_id,
            received_at=now,
            updated_at=now,
        )

    @classmethod
    def from_document(cls, content: bytes) -> "Deployment":
        """Read a record that `to_document` made, or an earlier version of the receiver, which wrote no schema number.

        Raises:
            NewerDocumentError: A newer version of the receiver wrote it.
            ValueError: It is not the document of a deployment.
        """
        document = parse_document(content)
        identity = {key: document[key] for key in _IDENTITY_KEYS if key in document}
        return cls.model_validate(document | {"identity": identity})

    def to_document(self) -> dict[str, object]:
        """Return the record as one flat object, with the names that its keys have on disk and in responses."""
        package = asdict(self.identity)
        own = self.model_dump(by_alias=True, exclude={"identity"})
        return {SCHEMA_KEY: SCHEMA_VERSION, **{key: package[key] for key in _IDENTITY_KEYS}, **own}

    @property
    def reference(self) -> str:
        """The image's `name:tag`."""
        return self.identity.reference

    @property
    def image_name(self) -> str:
        """The image's name without its tag; one container runs for each."""
        return self.identity.container_name

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.status in {"running", "replaced", "failed"} or (self.status == "loaded" and not self.start_pending)

    def body(self, *, run: bool) -> StateBody:
        """Return the response to `GET /deployments/{id}`.

        Args:
            run: Whether the receiver is set to start containers now.
        """
        will_run = run if not self.finished else self.status == "running"
        return StateBody.model_validate(self.to_document() | {"checksum_verified": True, "will_run": will_run})
