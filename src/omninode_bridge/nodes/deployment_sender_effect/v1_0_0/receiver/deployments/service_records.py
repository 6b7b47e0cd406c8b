"""Which containers this receiver has started: one JSON document for each container name.

A document is written before and after each step of a start, so that a receiver that was killed knows what it has done.
"""

import hashlib
import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ...concurrency import ThreadPool
from ...store.documents import write_document
from ...store.files import disk_errors
from ...store.staging import make_folder
from .documents import SCHEMA_VERSION, NewerDocumentError, parse_document

__all__ = ["ServiceRecord", "ServiceRecords", "Start"]

_log = logging.getLogger(__name__)

_FOLDER = "services"


class Start(BaseModel):
    """The start of one container, recorded from before the container is created.

    Attributes:
        token: The value of a label of the container, random, so that only this receiver knows it before the container
            exists. It identifies the container until the container's id is recorded; afterwards only the id counts,
            because a label can be copied into an image.
        image_id: The engine's id of the image; `loaded_image_id` of the deployment.
        name: The name that the container was created with.
        limits: The limits that it was created with, as text.
        container_id: None until the engine has responded.
        stops_current: Whether the running container is stopped for this one, and is started again if this one fails.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str
    deployment_id: str
    image_id: str
    name: str
    limits: str
    container_id: str | None = None
    stops_current: bool = False


class ServiceRecord(BaseModel):
    """The containers of one container name.

    Attributes:
        schema_version: See documents.py.
        name: The container's name.
        current: The container that runs; None before the first one is ready.
        next: The container that is being started.
        previous: The container that `current` has replaced, and that is still to be removed.
        lost: Tokens of containers that were requested and never seen: the engine may have created them since.
        volumes: The volume that the service last had at each path, by name, so that its data comes back.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    name: str
    current: Start | None = None
    next: Start | None = None
    previous: Start | None = None
    lost: tuple[str, ...] = ()
    volumes: dict[str, str] = {}

    @property
    def container_ids(self) -> set[str]:
        """The id of every container that is known to be this receiver's."""
        return {one.container_id for one in (self.current, self.next, self.previous) if one and one.container_id}


class ServiceRecords:
    """Every service record of a store.

    Args:
        store: Holds the folder `services`, which is created with the first record.
        workers: Threads for the disk.
    """

    def __init__(self, store: Path, workers: ThreadPool) -> None:
        self._folder = store / _FOLDER
        self._workers = workers
        self._by_name: dict[str, ServiceRecord] | None = None

    async def get(self, name: str) -> ServiceRecord:
        """Return the record of a name; an empty one if there is none.

        Raises:
            StorageError: The records cannot be read.
        """
        return (await self._all()).get(name) or ServiceRecord(name=name)

    async def names(self) -> list[str]:
        """Return the name of every record.

        Raises:
            StorageError: The records cannot be read.
        """
        return sorted(await self._all())

    async def write(self, record: ServiceRecord) -> ServiceRecord:
        """Write a record durably and return it.

        Raises:
            StorageError: The disk refused; the record is as it was before.
        """
        records = await self._all()
        await self._workers.run(self._write, record)
        records[record.name] = record
        return record

    async def _all(self) -> dict[str, ServiceRecord]:
        if self._by_name is None:
            found = await self._workers.run(self._read)
            if self._by_name is None:  # another task may have read them meanwhile
                self._by_name = found
        return self._by_name

    def _read(self) -> dict[str, ServiceRecord]:
        found = {}
        with disk_errors("read", self._folder):
            for path in self._folder.glob("*.json"):
                try:
                    record = ServiceRecord.model_validate(parse_document(path.read_bytes()))
                except NewerDocumentError as exc:
                    _log.warning("%s is ignored, and its container is not touched: %s", path, exc)
                except ValueError:
                    _log.warning(
                        "%s is ignored, and its container is not touched: it is not the record of a service", path
                    )
                else:
                    found[record.name] = record
        return found

    def _write(self, record: ServiceRecord) -> None:
        # Not by the name: two names may differ in case alone, which not every file system distinguishes.
        path = self._folder / f"{hashlib.sha256(record.name.encode()).hexdigest()}.json"
        with disk_errors("write", path):
            make_folder(self._folder)
        write_document(path, record.model_dump_json().encode())
