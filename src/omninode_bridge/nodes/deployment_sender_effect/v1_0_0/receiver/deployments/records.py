"""All deployments of a receiver: in memory, and on disk as one JSON document beside each package."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from ...concurrency import ThreadPool
from ...errors import StorageError
from ...models import DeploymentStatus
from ...store.documents import write_document
from ...store.files import disk_errors
from ...store.staging import Staged, Staging
from .documents import NewerDocumentError
from .failures import NO_ERROR
from .locks import NamedLocks
from .record import Deployment, timestamp

__all__ = ["Deployments"]

_log = logging.getLogger(__name__)

_DOCUMENT = "deployment.json"
_PACKAGE = "package"


def _order(deployment: Deployment) -> tuple[int, str]:
    """Return a key that sorts deployments by the arrival of their packages."""
    return deployment.sequence, deployment.updated_at


class Deployments:
    """Every deployment of a store.

    Args:
        folder: The store; each deployment has a folder in its folder `packages`.
        workers: Threads for the disk.
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
        """Read every document, remove uploads that were never completed, and mark deployments that were replaced.

        Raises:
            StorageError: The store cannot be read.
        """
        await self._workers.run(self._staging.sweep)
        for deployment in await self._workers.run(self._read_all):
            self._remember(deployment)
        for deployment in self._outdated():
            await self.change(deployment.deployment_id, status="replaced", **NO_ERROR)

    async def begin(self, deployment_id: str) -> Staged:
        """Stage the package of a new deployment.

        Raises:
            StorageError: The disk refused.
        """
        return await self._workers.run(self._staging.begin, deployment_id, _PACKAGE)

    def lock(self, package_id: str) -> asyncio.Lock:
        """Return the lock to hold while deciding whether a package is new."""
        return self._locks.of(package_id)

    async def keep(self, staged: Staged, deployment: Deployment) -> Deployment:
        """Keep a verified package durably, together with its document; return the record with its sequence number.

        Raises:
            StorageError: The disk refused.
        """
        deployment = deployment.model_copy(update={"sequence": self.next_sequence()})
        await self._workers.run(staged.commit, {_DOCUMENT: _encode(deployment)})
        self._remember(deployment)
        return deployment

    def next_sequence(self) -> int:
        """Return the sequence number for a package that has just arrived."""
        self._sequence += 1
        return self._sequence

    async def change(self, deployment_id: str, **changes: object) -> Deployment:
        """Change a record and return it; if the disk refuses, the change stays in memory until the next write."""
        before = self._by_id[deployment_id]
        deployment = before.model_copy(update={**changes, "updated_at": timestamp()})
        self._remember(deployment)
        if (deployment.status, deployment.error_message) != (before.status, before.error_message):
            why = f": {deployment.error_code}: {deployment.error_message}" if deployment.error_code else ""
            _log.info("%s: %s %s%s", deployment_id, deployment.reference, deployment.status, why)
        async with self._writing.of(deployment_id):  # changes may overlap, and the latest must be the last one written
            try:
                await self._workers.run(self._write, self._by_id[deployment_id])
            except StorageError as exc:
                _log.warning("%s: its state could not be written: %s", deployment_id, exc.message)
        return deployment

    def get(self, deployment_id: str) -> Deployment | None:
        """Return a deployment; None if there is none of this id."""
        return self._by_id.get(deployment_id)

    def of_package(self, package_id: str) -> Deployment | None:
        """Return the deployment of a package; None if that package is not here."""
        return self._by_id.get(self._by_package.get(package_id, ""))

    def package_file(self, deployment: Deployment) -> Path:
        """Return the path of a deployment's package."""
        return self._staging.final / deployment.deployment_id / _PACKAGE

    def has_package(self, deployment: Deployment) -> bool:
        """Return whether a deployment's package is still on disk and has its size; blocks."""
        try:
            return self.package_file(deployment).stat().st_size == deployment.identity.size_bytes
        except OSError:
            return False

    def newest(self, limit: int) -> list[Deployment]:
        """Return the latest deployments, newest first."""
        return sorted(self._by_id.values(), key=lambda one: one.received_at, reverse=True)[:limit]

    def unfinished(self) -> list[Deployment]:
        """Return the deployments that a stop of the receiver interrupted, in the order of arrival."""
        return sorted((one for one in self._by_id.values() if not one.finished), key=_order)

    def finished_as(self, status: DeploymentStatus) -> list[Deployment]:
        """Return the finished deployments of a status, in the order of arrival."""
        return sorted((one for one in self._by_id.values() if one.finished and one.status == status), key=_order)

    def is_latest(self, deployment: Deployment) -> bool:
        """Return whether no package of the same image name has arrived later."""
        return not any(one.image_name == deployment.image_name for one in self._later(deployment))

    def has_later_image(self, deployment: Deployment) -> bool:
        """Return whether a later deployment has loaded an image with the same name and tag."""
        names = {one.reference for one in self._later(deployment) if one.status in {"loaded", "running"}}
        return deployment.reference in names

    def has_later_container(self, deployment: Deployment) -> bool:
        """Return whether a later deployment of the same image name has started its container."""
        names = {one.image_name for one in self._later(deployment) if one.container_id is not None}
        return deployment.image_name in names

    def replaced_by(self, deployment: Deployment) -> list[Deployment]:
        """Return the deployments that a deployment replaces with its status, whichever arrived first.

        A loaded image takes its name and tag from an earlier one; a started container replaces the container of the
        same image name.
        """
        return [
            one
            for one in (*self.finished_as("loaded"), *self.finished_as("running"))
            if one.deployment_id != deployment.deployment_id
            and (
                (one.status == "loaded" and one.reference == deployment.reference)
                or (one.status == deployment.status == "running" and one.image_name == deployment.image_name)
            )
        ]

    def count(self) -> Counter[str]:
        """Return how many deployments have each status, also where that is 0."""
        counts: Counter[str] = Counter(dict.fromkeys(get_args(DeploymentStatus), 0))
        counts.update(one.status for one in self._by_id.values())
        return counts

    def _remember(self, deployment: Deployment) -> None:
        self._by_id[deployment.deployment_id] = deployment
        self._by_package[deployment.identity.package_id] = deployment.deployment_id
        self._sequence = max(self._sequence, deployment.sequence)

    def _later(self, deployment: Deployment) -> Iterator[Deployment]:
        return (one for one in self._by_id.values() if one.sequence > deployment.sequence)

    def _outdated(self) -> list[Deployment]:
        """Return the deployments that a later one has replaced, although their records do not say so.

        The receiver was killed between two writes, or the disk refused one.
        """
        loaded, running = self.finished_as("loaded"), self.finished_as("running")
        references = {one.reference: _order(one) for one in sorted(loaded + running, key=_order)}
        containers = {one.image_name: _order(one) for one in running}
        return [
            *(one for one in loaded if _order(one) < references[one.reference]),
            *(one for one in running if _order(one) < containers[one.image_name]),
        ]

    def _read_all(self) -> list[Deployment]:
        with disk_errors("read", self._staging.final):
            return sorted(self._read_documents(), key=lambda one: one.received_at)  # the latest of one package counts

    def _read_documents(self) -> Iterator[Deployment]:
        for path in self._staging.final.glob(f"*/{_DOCUMENT}"):
            try:
                yield Deployment.from_document(path.read_bytes())
            except NewerDocumentError as exc:
                _log.warning("%s is ignored: %s", path, exc)
            except ValueError:
                _log.warning("%s is ignored: it is not the document of a deployment", path)

    def _write(self, deployment: Deployment) -> None:
        path = self._staging.final / deployment.deployment_id / _DOCUMENT
        write_document(path, _encode(deployment))


def _encode(deployment: Deployment) -> bytes:
    return json.dumps(deployment.to_document(), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
