"""Replaces the container of a service: creates a new one, waits until it is ready, and makes it the current one."""

import platform
import secrets

from ...ports import ContainerFacts, ContainerLimits, ContainerRuntime, ContainerSpec
from ...settings import ReceiverSettings
from .cleanup import START_LABEL, ServiceCleanup
from .container_names import next_name
from .readiness import ReadinessCheck
from .record import Deployment
from .service_records import ServiceRecord, ServiceRecords, Start

__all__ = ["LABEL_PREFIX", "Replacement", "container_limits"]

LABEL_PREFIX = "omninode.deployment"
_TOKEN_BYTES = 16  # 128 bits, which cannot be guessed
_BYTES_PER_MB = 1_000_000  # as the settings count: 1 MB = 1,000,000 bytes


def container_limits(settings: ReceiverSettings) -> ContainerLimits:
    """Return the limits of each container, in the units of the engine."""
    return ContainerLimits(
        memory_bytes=int(settings.container_memory_mb * _BYTES_PER_MB),
        cpus=settings.container_cpus,
        pids=settings.container_pids,
        log_file_bytes=int(settings.container_log_max_mb * _BYTES_PER_MB),
        log_files=settings.container_log_files,
    )


class Replacement:
    """Replaces containers. Every step is recorded before it is taken, so that `cleanup` can undo or complete it.

    Args:
        records: Of every service.
        cleanup: Stops the old container, and checks that a name is free.
        settings: Say how long a new container has to become ready, and its limits.
    """

    def __init__(self, records: ServiceRecords, cleanup: ServiceCleanup, settings: ReceiverSettings) -> None:
        self._records = records
        self._cleanup = cleanup
        self._settings = settings
        self._limits = container_limits(settings)
        self._readiness = ReadinessCheck(settings)

    async def replace(
        self,
        runtime: ContainerRuntime,
        record: ServiceRecord,
        current: ContainerFacts | None,
        deployment: Deployment,
        image_id: str,
    ) -> tuple[ContainerFacts, list[str]]:
        """Start the container of an image, and record it as the current one; return it, and warnings for the operator.

        Args:
            runtime: Of the engine that has the image.
            record: Of the service; no start is under way.
            current: The old container, which `cleanup` removes afterwards; None if there is none.
            deployment: The deployment of the image.
            image_id: The engine's id of the image.

        Raises:
            ContainerError: The new container is not ready, or a container of others has its name.
            StorageError: The disk refused a record.
            EngineUnavailableError: The engine does not respond.
            EngineRefusedError: The engine responded with an error.
        """
        start, spec, warnings = await self._plan(runtime, record, current, deployment, image_id)
        await self._cleanup.require_free_names(runtime, record, {record.name, start.name})
        record, start, container_id = await self._create(runtime, record, start, spec)
        if current is not None and start.stops_current:
            warnings += await self._cleanup.stop_gracefully(runtime, current)
        await runtime.start(container_id)
        facts = await self._readiness.wait_until_ready(runtime, container_id)
        await runtime.keep_up(container_id)
        changes = {
            "current": start,
            "next": None,
            "previous": None if current is None else record.current,
            "volumes": {**record.volumes, **facts.volumes},
        }
        await self._records.write(record.model_copy(update=changes))
        return facts, warnings

    async def _plan(
        self,
        runtime: ContainerRuntime,
        record: ServiceRecord,
        current: ContainerFacts | None,
        deployment: Deployment,
        image_id: str,
    ) -> tuple[Start, ContainerSpec, list[str]]:
        """Return the new container, before it is created, and warnings about its volumes."""
        volumes, warnings = await self._volumes(runtime, record, current, image_id)
        # Two containers that write to one volume at once would damage its data.
        shared = set() if current is None else set(volumes.values()) & set(current.volumes.values())
        start = Start(
            token=secrets.token_hex(_TOKEN_BYTES),
            deployment_id=deployment.deployment_id,
            image_id=image_id,
            name=record.name if current is None else next_name(record.name),
            limits=repr(self._limits),
            stops_current=current is not None and current.active and bool(shared),
        )
        labels = self._labels(deployment, start.token)
        return start, ContainerSpec(image_id, start.name, labels, self._limits, volumes), warnings

    async def _create(
        self, runtime: ContainerRuntime, record: ServiceRecord, start: Start, spec: ContainerSpec
    ) -> tuple[ServiceRecord, Start, str]:
        """Create a container, recorded before and after."""
        record = await self._records.write(record.model_copy(update={"next": start}))
        container_id = await runtime.create(spec)
        start = start.model_copy(update={"container_id": container_id})
        return await self._records.write(record.model_copy(update={"next": start})), start, container_id

    async def _volumes(
        self, runtime: ContainerRuntime, record: ServiceRecord, current: ContainerFacts | None, image_id: str
    ) -> tuple[dict[str, str], list[str]]:
        """Return the volumes that the service last had at the paths that the image declares, and warnings."""
        paths = await runtime.volume_paths(image_id)
        known = {path: record.volumes[path] for path in paths if path in record.volumes}
        volumes = {path: volume for path, volume in known.items() if await runtime.has_volume(volume)}
        unused = {} if current is None else {path: it for path, it in current.volumes.items() if path not in paths}
        if not unused:
            return volumes, []
        kept = ", ".join(f"{path} (volume {volume})" for path, volume in sorted(unused.items()))
        empty = ", ".join(path for path in paths if path not in volumes)
        warning = (
            f"the new image declares no volume at {kept}; the data is kept, and is used again by an image that declares"
            " that path"
        )
        return volumes, [warning + (f"; the volume at {empty} is new and empty" if empty else "")]

    def _labels(self, deployment: Deployment, token: str) -> dict[str, str]:
        return {
            f"{LABEL_PREFIX}.id": deployment.deployment_id,
            f"{LABEL_PREFIX}.package": deployment.identity.package_id,
            f"{LABEL_PREFIX}.image": deployment.reference,
            f"{LABEL_PREFIX}.receiver": f"{platform.node()}:{self._settings.store_folder}",
            START_LABEL: token,
        }
