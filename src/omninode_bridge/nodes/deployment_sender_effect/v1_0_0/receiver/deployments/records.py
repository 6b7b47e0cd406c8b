"""What became of each package: one JSON document beside it, written whole or not at all."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ...concurrency import ThreadPool
from ...errors import DeploymentSenderError
from ...models import DeploymentStatus
from ...models.fields import Compression
from ...protocol.form import UploadFields
from ...protocol.responses import StateBody, wire_names
from ...store.documents import write_document
from ...store.files import disk_errors
from ...store.staging import Staged, Staging
from .locks import NamedLocks

__all__ = ["NO_ERROR", "Deployment", "Deployments"]

_log = logging.getLogger(__name__)

NO_ERROR: Final = {"error_code": None, "error_message": None}
_DOCUMENT = "deployment.json"
_PACKAGE = "package"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _age(deployment: "Deployment") -> tuple[int, str]:
    return deployment.sequence, deployment.updated_at


class Deployment(BaseModel):
    """One package and its image, from the package's arrival on: what was done with it, not what is to be done.

    Attributes:
        status: `received` -> `loading` -> `loaded` -> `running`; from each of them `replaced` or `failed`.
        sequence: Grows with each package that arrives, also one that arrives again: the latest has the last word.
        start_pending: It is loaded, and its container was not started yet because the receiver ended before.
        announced_image_id: The config digest that the sender named.
        platform: What the sender says that the image is for.
        container_status: What the receiver has seen of the container, with the next four fields (protocol/form.py).
        image_id: The engine's own id of the image, once it was loaded and checked.
        container_id: The container that was started for it, since its package arrived last.
        error_code: Why it failed, or does not go on for now; `error_message` too.
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
    received_at: str
    updated_at: str
    sequence: int = 0
    status: DeploymentStatus = "received"
    start_pending: bool = False
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
    def new(cls, deployment_id: str, fields: UploadFields, *, size_bytes: int) -> "Deployment":
        """Begin a deployment."""
        now = _now()
        return cls(
            deployment_id=deployment_id,
            size_bytes=size_bytes,
            announced_image_id=fields.announced_digest,
            received_at=now,
            updated_at=now,
            **fields.model_dump(exclude={"announced_digest", "verify_checksum"}),
        )

    @property
    def reference(self) -> str:
        """The image's `name:tag`."""
        return f"{self.container_name}:{self.image_tag}"

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done."""
        return self.status in {"running", "replaced", "failed"} or (self.status == "loaded" and not self.start_pending)

    def body(self, *, run: bool) -> StateBody:
        """Return what `GET /deployments/{id}` says of it, where the receiver's setting `run` is this one."""
        will_run = run if not self.finished else self.status == "running"
        told = self.model_dump(include=set(wire_names(StateBody)))
        return StateBody(checksum_verified=True, will_run=will_run, **told)


class Deployments:
    """Every deployment of a store.

    Args:
        folder: The store; each deployment has a folder in `packages` there.
        workers: Threads.
    """

    def __init__(self, folder: Path, workers: ThreadPool) -> None:
        self._workers = workers
        self._staging = Staging(folder)
        self._by_id: dict[str, Deployment] = {}
        self._by_package: dict[str, str] = {}
        self._locks = NamedLocks()
        self._writing = NamedLocks()
        self._sequence = 0

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
        return self._locks.of(package_id)

    async def keep(self, staged: Staged, deployment: Deployment) -> Deployment:
        """Keep a verified package for good, together with its document; return it with its place in the sequence.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        deployment = deployment.model_copy(update={"sequence": self.next_sequence()})
        await self._workers.run(staged.commit, {_DOCUMENT: deployment.model_dump_json().encode()})
        self._remember(deployment)
        return deployment

    def next_sequence(self) -> int:
        """Return the place of what has arrived just now."""
        self._sequence += 1
        return self._sequence

    async def change(self, deployment_id: str, **changes: object) -> Deployment:
        """Change a deployment; if the disk refuses, the change is kept in memory and with the next one."""
        before = self._by_id[deployment_id]
        deployment = before.model_copy(update={**changes, "updated_at": _now()})
        self._remember(deployment)
        if (deployment.status, deployment.error_message) != (before.status, before.error_message):
            why = f": {deployment.error_code}: {deployment.error_message}" if deployment.error_code else ""
            _log.info("%s: %s %s%s", deployment_id, deployment.reference, deployment.status, why)
        async with self._writing.of(deployment_id):  # several parts may change one, and the latest is to stay
            try:
                await self._workers.run(self._write, self._by_id[deployment_id])
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

    def has_package(self, deployment: Deployment) -> bool:
        """Whether a deployment's package is still on the disk, in its length; blocks."""
        try:
            return self.package_file(deployment).stat().st_size == deployment.size_bytes
        except OSError:
            return False

    def newest(self, limit: int) -> list[Deployment]:
        """Return the latest deployments, newest first."""
        return sorted(self._by_id.values(), key=lambda one: one.received_at, reverse=True)[:limit]

    def unfinished(self) -> list[Deployment]:
        """Return what a stop has left to do, in the order of arrival."""
        return sorted((one for one in self._by_id.values() if not one.finished), key=_age)

    def ended_as(self, status: DeploymentStatus) -> list[Deployment]:
        """Return those that have come to an end with a status, in the order of arrival."""
        return sorted((one for one in self._by_id.values() if one.finished and one.status == status), key=_age)

    def is_last(self, deployment: Deployment) -> bool:
        """Whether none of the same image name has arrived later."""
        return not any(one.container_name == deployment.container_name for one in self._later(deployment))

    def is_loaded_over(self, deployment: Deployment) -> bool:
        """Whether a later one has the name and tag of its image."""
        names = {one.reference for one in self._later(deployment) if one.status in {"loaded", "running"}}
        return deployment.reference in names

    def is_run_over(self, deployment: Deployment) -> bool:
        """Whether a later one of the same image name was started."""
        names = {one.container_name for one in self._later(deployment) if one.container_id is not None}
        return deployment.container_name in names

    def replaced_by(self, deployment: Deployment) -> list[Deployment]:
        """Return those whose place a deployment has taken, whatever was sent first.

        A loaded image loses its name and tag to another one that is loaded; a container goes when another one of the
        same image name is started.
        """
        return [
            one
            for one in (*self.ended_as("loaded"), *self.ended_as("running"))
            if one.deployment_id != deployment.deployment_id
            and (
                (one.status == "loaded" and one.reference == deployment.reference)
                or (one.status == deployment.status == "running" and one.container_name == deployment.container_name)
            )
        ]

    def overtaken(self) -> list[Deployment]:
        """Return those whose place a later one has taken, which a kill has kept their records from saying."""
        loaded, running = self.ended_as("loaded"), self.ended_as("running")
        references = {one.reference: _age(one) for one in sorted(loaded + running, key=_age)}
        containers = {one.container_name: _age(one) for one in running}
        return [
            *(one for one in loaded if _age(one) < references[one.reference]),
            *(one for one in running if _age(one) < containers[one.container_name]),
        ]

    def count(self) -> Counter[str]:
        """Count deployments by status; those that are in none are 0."""
        counts: Counter[str] = Counter(dict.fromkeys(get_args(DeploymentStatus), 0))
        counts.update(one.status for one in self._by_id.values())
        return counts

    def _remember(self, deployment: Deployment) -> None:
        self._by_id[deployment.deployment_id] = deployment
        self._by_package[deployment.package_id] = deployment.deployment_id
        self._sequence = max(self._sequence, deployment.sequence)

    def _later(self, deployment: Deployment) -> Iterator[Deployment]:
        return (one for one in self._by_id.values() if one.sequence > deployment.sequence)

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
