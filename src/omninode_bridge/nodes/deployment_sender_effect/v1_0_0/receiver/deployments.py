"""What became of each package: one JSON document beside it, written whole or not at all."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import DeploymentSenderError
from ..models import DeploymentStatus
from ..models.fields import Compression
from ..protocol.upload import StateBody, UploadFields
from ..store.disk import disk_errors
from ..store.documents import write_document
from ..store.staging import Staged, Staging
from .workers import Workers

__all__ = ["Deployment", "Deployments"]

_log = logging.getLogger(__name__)

_DOCUMENT = "deployment.json"
_PACKAGE = "package"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Deployment(BaseModel):
    """One package and its image, from the package's arrival on.

    Attributes:
        status: `received` -> `loading` -> `loaded` -> `running`, or `failed`.
        will_run: Whether the container is to be started.
        announced_image_id: The config digest that the sender named.
        platform: What the sender says that the image is for.
        image_id: The engine's own id of the loaded image.
        container_status: What the receiver has seen of the container, with the next four fields (protocol/upload.py).
        received_at: RFC 3339, UTC, with microseconds, so that texts sort as times; `updated_at` too.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    deployment_id: str
    package_id: str
    checksum: str
    size_bytes: int
    container_name: str
    image_tag: str
    compression: Compression | None
    announced_image_id: str | None
    correlation_id: str | None
    platform: str | None = None
    will_run: bool
    received_at: str
    updated_at: str
    status: DeploymentStatus = "received"
    image_id: str | None = None
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
    def new(cls, deployment_id: str, fields: UploadFields, *, size_bytes: int, will_run: bool) -> "Deployment":
        """Begin a deployment."""
        now = _now()
        return cls(
            deployment_id=deployment_id,
            size_bytes=size_bytes,
            announced_image_id=fields.image_id,
            will_run=will_run,
            received_at=now,
            updated_at=now,
            **fields.model_dump(exclude={"image_id", "verify_checksum"}),
        )

    @property
    def reference(self) -> str:
        """The image's `name:tag`."""
        return f"{self.container_name}:{self.image_tag}"

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done."""
        return self.status in {"running", "failed"} or (self.status == "loaded" and not self.will_run)

    def body(self) -> StateBody:
        """Tell it as `GET /deployments/{id}` does."""
        return StateBody(checksum_verified=True, **self.model_dump(include=set(StateBody.model_fields)))


class Deployments:
    """Every deployment of a store.

    Args:
        folder: The store; each deployment has a folder in `packages` there.
        workers: Threads.
    """

    def __init__(self, folder: Path, workers: Workers) -> None:
        self._workers = workers
        self._staging = Staging(folder)
        self._by_id: dict[str, Deployment] = {}
        self._by_package: dict[str, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Read every document, and remove what uploads left that never came to their end.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the store cannot be read.
        """
        await self._workers.run(self._staging.sweep)
        for deployment in await self._workers.run(self._read_all):
            self._remember(deployment)

    async def begin(self, deployment_id: str) -> Staged:
        """Stage the package of a new deployment.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        return await self._workers.run(self._staging.begin, deployment_id, _PACKAGE)

    def lock(self, package_id: str) -> asyncio.Lock:
        """Hold this while you decide what becomes of an arrived package."""
        return self._locks.setdefault(package_id, asyncio.Lock())

    async def keep(self, staged: Staged, deployment: Deployment) -> None:
        """Keep a verified package for good, together with its document.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        await self._workers.run(staged.commit, {_DOCUMENT: deployment.model_dump_json().encode()})
        self._remember(deployment)

    async def change(self, deployment_id: str, **changes: object) -> Deployment:
        """Change a deployment; if the disk refuses, the change is kept in memory and with the next one."""
        deployment = self._by_id[deployment_id].model_copy(update={**changes, "updated_at": _now()})
        self._remember(deployment)
        try:
            await self._workers.run(self._write, deployment)
        except DeploymentSenderError as exc:
            _log.warning("%s: its state is not on the disk: %s", deployment_id, exc.message)
        return deployment

    def get(self, deployment_id: str) -> Deployment | None:
        """Find a deployment."""
        return self._by_id.get(deployment_id)

    def of_package(self, package_id: str) -> Deployment | None:
        """Find a package's deployment."""
        return self._by_id.get(self._by_package.get(package_id, ""))

    def package_file(self, deployment: Deployment) -> Path:
        """Where a deployment's package is."""
        return self._staging.final / deployment.deployment_id / _PACKAGE

    def newest(self, limit: int) -> list[Deployment]:
        """Answer the latest deployments, newest first."""
        return sorted(self._by_id.values(), key=lambda one: one.received_at, reverse=True)[:limit]

    def unfinished(self) -> list[Deployment]:
        """Answer what a stop has left to do, in the order in which it was begun."""
        left = (one for one in self._by_id.values() if not one.finished)
        return sorted(left, key=lambda one: one.updated_at)

    def superseded(self, deployment: Deployment) -> bool:
        """Whether its image was loaded, and another one under the same name and tag since."""
        return deployment.status in {"loaded", "running"} and any(
            other.reference == deployment.reference
            and other.status in {"loaded", "running"}
            and other.updated_at > deployment.updated_at
            for other in self._by_id.values()
        )

    def count(self) -> Counter[str]:
        """Count deployments by status."""
        return Counter(one.status for one in self._by_id.values())

    def _remember(self, deployment: Deployment) -> None:
        self._by_id[deployment.deployment_id] = deployment
        self._by_package[deployment.package_id] = deployment.deployment_id

    def _read_all(self) -> list[Deployment]:
        with disk_errors("read", self._staging.final):
            return sorted(self._documents(), key=lambda one: one.received_at)  # of one package the latest counts

    def _documents(self) -> Iterator[Deployment]:
        for path in self._staging.final.glob(f"*/{_DOCUMENT}"):
            try:
                yield Deployment.model_validate_json(path.read_bytes())
            except ValidationError:
                _log.warning("%s is no deployment's document; left as it is", path)

    def _write(self, deployment: Deployment) -> None:
        path = self._staging.final / deployment.deployment_id / _DOCUMENT
        write_document(path, deployment.model_dump_json().encode())
