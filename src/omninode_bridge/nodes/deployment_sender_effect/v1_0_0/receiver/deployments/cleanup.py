"""Puts a service in order after a start that failed, was broken off or has just replaced a container."""

import logging
from contextlib import suppress

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import ContainerFacts, ContainerRuntime
from ...settings import ReceiverSettings
from .service_records import ServiceRecord, ServiceRecords, Start

__all__ = ["TOKEN_LABEL", "Settling"]

_log = logging.getLogger(__name__)

TOKEN_LABEL = "omninode.deployment.start"  # noqa: S105 - the label's name
_KILLED = 137  # 128 + SIGKILL, as a shell would have it
# An engine that was cut off while it made a container is done with it long before so many further starts.
_LOST_MAX = 8


class Settling:
    """Does what the records say is left to do. Each step may be done twice; the caller holds the service's lock.

    Args:
        records: Of every service.
        settings: How long a container has to end.
    """

    def __init__(self, records: ServiceRecords, settings: ReceiverSettings) -> None:
        self._records = records
        self._settings = settings

    async def settle(self, runtime: ContainerRuntime, name: str) -> tuple[ServiceRecord, list[str]]:
        """Leave one container of the name or none; return its record, and what a person should know.

        A container that has not proved itself goes, and the one before it is started again if it was stopped for
        it; one that was replaced is removed, and its successor gets the name.

        Raises:
            DeploymentSenderError: What the engine raises; `BUILD_FAILED`: the disk refuses a record.
        """
        record, warnings = await self._records.get(name), list[str]()
        if record.next is not None:
            record = await self._without_next(runtime, record, record.next)
        if record.previous is not None:
            warnings = await self._retire(runtime, record.previous)
            record = await self._named(runtime, record)
        return record, warnings

    async def must_be_free(self, runtime: ContainerRuntime, record: ServiceRecord, names: set[str]) -> None:
        """Insist that no container but this receiver's own has one of these names.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: one has; it is not touched.
        """
        for name in sorted(names):
            facts = await runtime.inspect(name)
            if facts is None or facts.container_id in record.container_ids:
                continue
            if facts.labels.get(TOKEN_LABEL) in record.lost:
                await runtime.remove(facts.container_id, volumes=True)
                continue
            raise DeploymentSenderError(
                ErrorCode.BUILD_FAILED,
                f"The container {record.name} could not be started: there is a container {name} that this receiver has"
                f" not started. It is left as it is; remove it (`docker rm -f {name}`), or deploy under another name",
            )

    async def stopped(self, runtime: ContainerRuntime, facts: ContainerFacts) -> list[str]:
        """Stop a container; return what is to be said if it had to be killed."""
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

    async def _without_next(self, runtime: ContainerRuntime, record: ServiceRecord, start: Start) -> ServiceRecord:
        container_id, lost = start.container_id, record.lost
        if container_id is None:
            found = await runtime.inspect(start.name)
            if found is not None and found.labels.get(TOKEN_LABEL) == start.token:
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

    async def _retire(self, runtime: ContainerRuntime, start: Start) -> list[str]:
        facts = None if start.container_id is None else await runtime.inspect(start.container_id)
        if facts is None:
            return []
        warnings: list[str] = []
        if facts.active:
            with suppress(DeploymentSenderError):  # one that is paused cannot be stopped; removing kills it
                warnings = await self.stopped(runtime, facts)
        # Its volumes are the successor's, or hold data that nobody has asked to throw away.
        await runtime.remove(facts.container_id, volumes=False)
        return warnings

    async def _named(self, runtime: ContainerRuntime, record: ServiceRecord) -> ServiceRecord:
        current = record.current
        facts = None if current is None or current.container_id is None else await runtime.inspect(current.container_id)
        if facts is not None and facts.name != record.name:
            await runtime.rename(facts.container_id, record.name)
        return await self._records.write(record.model_copy(update={"previous": None}))
