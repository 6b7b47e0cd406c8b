"""Which containers are this receiver's: one JSON document for each service, written before and after what it tells."""

import hashlib
import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ...concurrency import ThreadPool
from ...store.files import disk_errors
from ...store.staging import make_folder, sync_folder

__all__ = ["ServiceRecord", "ServiceRecords", "Start"]

_log = logging.getLogger(__name__)

_FOLDER = "services"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Start(BaseModel):
    """One container, from before it is created.

    Attributes:
        token: A label of the container that nobody else can know before it is there. It tells whose the container is
            until its id is on record, and nothing after that: a label can be copied into an image later.
        name: Under which it was created.
        limits: Those that it was created with, as text.
        container_id: None while the engine has not answered.
        stops_current: Whether the container before it is stopped for it, and to be started again if this one fails.
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
    """What the receiver has done for one container name.

    Attributes:
        name: The container's.
        current: The container that serves; None before the first one has proved itself.
        next: One that is being started.
        previous: One that `current` has replaced, and that is to be removed.
        lost: Tokens of containers that were asked for and never seen: the engine may have made them afterwards.
        volumes: The name of the volume that the service has last had at each path, so that its data comes back.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    current: Start | None = None
    next: Start | None = None
    previous: Start | None = None
    lost: tuple[str, ...] = ()
    volumes: dict[str, str] = {}

    @property
    def container_ids(self) -> set[str]:
        """Every container that is known to be this receiver's."""
        return {one.container_id for one in (self.current, self.next, self.previous) if one and one.container_id}


class ServiceRecords:
    """Every record of a store.

    Args:
        store: Holds the folder `services`, which is made with the first record.
        workers: Threads.
    """

    def __init__(self, store: Path, workers: ThreadPool) -> None:
        self._folder = store / _FOLDER
        self._workers = workers
        self._by_name: dict[str, ServiceRecord] | None = None

    async def get(self, name: str) -> ServiceRecord:
        """Return the record of a name; an empty one if there is none."""
        return (await self._all()).get(name) or ServiceRecord(name=name)

    async def names(self) -> list[str]:
        """Return the name of every record."""
        return sorted(await self._all())

    async def write(self, record: ServiceRecord) -> ServiceRecord:
        """Make a record durable; return it.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses, and the record is what it was.
        """
        records = await self._all()
        await self._workers.run(self._write, record)
        records[record.name] = record
        return record

    async def _all(self) -> dict[str, ServiceRecord]:
        if self._by_name is None:
            found = await self._workers.run(self._read)
            if self._by_name is None:  # another one may have been faster
                self._by_name = found
        return self._by_name

    def _read(self) -> dict[str, ServiceRecord]:
        found = {}
        with disk_errors("read", self._folder):
            for path in self._folder.glob("*.json"):
                try:
                    record = ServiceRecord.model_validate_json(path.read_bytes())
                except ValidationError:
                    _log.warning("%s is no service's record; left as it is, and its container is not touched", path)
                else:
                    found[record.name] = record
        return found

    def _write(self, record: ServiceRecord) -> None:
        # Not by the name: two names may differ in case alone, which not every file system can tell.
        path = self._folder / f"{hashlib.sha256(record.name.encode()).hexdigest()}.json"
        draft = path.with_suffix(".new")
        with disk_errors("write", path):
            make_folder(self._folder)
            with os.fdopen(os.open(draft, _NEW_FILE, 0o600), "wb") as file:
                file.write(record.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
