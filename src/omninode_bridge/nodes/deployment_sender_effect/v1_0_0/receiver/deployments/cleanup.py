"""Completes or undoes a start that was interrupted, so that one container of a name is left.

A start that failed is rolled back: its container is removed, and the one before it is started again. A start that
succeeded is completed: the container that it replaced is removed, and the new one gets the name.
"""

import logging
from contextlib import suppress

from ...errors import OperationError
from ...ports import ContainerFacts, ContainerRuntime
from ...settings import ReceiverSettings
from .failures import ContainerError
from .service_records import ServiceRecord, ServiceRecords, Start

__all__ = ["START_LABEL", "ServiceCleanup"]

_log = logging.getLogger(__name__)

START_LABEL = "omninode.deployment.start"  # its value is `Start.token`
_KILLED = 137  # the exit code of a process that SIGKILL (9) ended: 128 + 9, as shells and engines report it
# An engine that was cut off while it created a container has done so, or given up, long before 8 further starts.
_LOST_MAX = 8


class ServiceCleanup:
    """Does what the service records show is left to do. Every step may be repeated; callers hold the service's lock.

    Args:
        records: Of every service.
        settings: Say how long a container has to end.
    """

    def __init__(self, records: ServiceRecords, settings: ReceiverSettings) -> None:
        self._records = records
        self._settings = settings

    async def clean_up(self, runtime: ContainerRuntime, name: str) -> tuple[ServiceRecord, list[str]]:
        """Leave one container of a name, or none; return its record, and warnings for the operator.

        Raises:
            StorageError: The disk refused a record.
            EngineUnavailableError: The engine does not respond.
            EngineRefusedError: The engine responded with an error.
        """
        record, warnings = await self._records.get(name), list[str]()
        if record.next is not None:
            record = await self._roll_back(runtime, record, record.next)
        if record.previous is not None:
            warnings = await self._remove_replaced(runtime, record.previous)
            record = await self._rename_current(runtime, record)
        return record, warnings

    async def require_free_names(self, runtime: ContainerRuntime, record: ServiceRecord, names: set[str]) -> None:
        """Check that no container but this receiver's own has one of these names.

        Raises:
            ContainerError: One has; it is not touched.
        """
        for name in sorted(names):
            facts = await runtime.inspect(name)
            if facts is None or facts.container_id in record.container_ids:
                continue
            if facts.labels.get(START_LABEL) in record.lost:
                await runtime.remove(facts.container_id, volumes=True)
                continue
            raise ContainerError(
                f"The container {record.name} could not be started: this receiver did not start the container {name}"
                f" that exists already. It was not changed; remove it (`docker rm -f {name}`), or deploy the image"
                " under another name"
            )

    async def stop_gracefully(self, runtime: ContainerRuntime, facts: ContainerFacts) -> list[str]:
        """Stop a container; return a warning if it had to be killed."""
        seconds = self._settings.container_stop_seconds
        await runtime.stop(facts.container_id, seconds)
        after = await runtime.inspect(facts.container_id)
        if not facts.running or after is None or after.exit_code != _KILLED or after.oom_killed:
            return []
        variable = self._settings.env_name("container_stop_seconds")
        warning = (
            f"the old container was killed: its process did not end within {seconds:g} s (container_stop_seconds,"
            f" {variable}) of the signal to stop, SIGTERM unless the image names another with STOPSIGNAL"
        )
        return [warning]

    async def _roll_back(self, runtime: ContainerRuntime, record: ServiceRecord, start: Start) -> ServiceRecord:
        container_id, lost = start.container_id, record.lost
        if container_id is None:
            found = await runtime.inspect(start.name)
            if found is not None and found.labels.get(START_LABEL) == start.token:
                container_id = found.container_id
            else:
                lost = (*lost, start.token)[-_LOST_MAX:]
        if container_id is not None:
            await runtime.remove(container_id, volumes=True)
        if start.stops_current and record.current is not None and record.current.container_id is not None:
            old = await runtime.inspect(record.current.container_id)
            if old is not None and not old.active:
                await runtime.start(old.container_id)
        return await self._records.write(record.model_copy(update={"next": None, "lost": lost}))

    async def _remove_replaced(self, runtime: ContainerRuntime, start: Start) -> list[str]:
        facts = None if start.container_id is None else await runtime.inspect(start.container_id)
        if facts is None:
            return []
        warnings: list[str] = []
        if facts.active:
            with suppress(OperationError):  # a paused container cannot be stopped; removing kills it
                warnings = await self.stop_gracefully(runtime, facts)
        # Its volumes belong to the new container now, or hold data that no request has asked to delete.
        await runtime.remove(facts.container_id, volumes=False)
        return warnings

    async def _rename_current(self, runtime: ContainerRuntime, record: ServiceRecord) -> ServiceRecord:
        current = record.current
        facts = None if current is None or current.container_id is None else await runtime.inspect(current.container_id)
        if facts is not None and facts.name != record.name:
            await runtime.rename(facts.container_id, record.name)
        return await self._records.write(record.model_copy(update={"previous": None}))
