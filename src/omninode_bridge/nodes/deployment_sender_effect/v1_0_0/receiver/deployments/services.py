"""Runs one container for each image name: a new one replaces the old one once it has proved itself."""

import asyncio
import logging
import platform
import secrets
from weakref import WeakValueDictionary

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import ContainerEngine, ContainerFacts, ContainerLimits, ContainerRuntime, ContainerSpec
from ...settings import ReceiverSettings
from ..state import ReceiverState
from .container_names import container_name, next_name
from .proving import NotProvenError, Proving
from .records import Deployment
from .service_records import ServiceRecord, ServiceRecords, Start
from .settling import TOKEN_LABEL, Settling

__all__ = ["LABEL_PREFIX", "Services"]

_log = logging.getLogger(__name__)

LABEL_PREFIX = "omninode.deployment"
_TOKEN_BYTES = 16
_BYTES_PER_MB = 1_000_000
# For putting things back after a start that failed or was broken off; what is left then waits for the next look.
_UNDO_SECONDS = 30


class Services:
    """Starts containers, and knows which are this receiver's (service_records.py).

    Args:
        shared: The receiver's own.

    Attributes:
        records: Of each service.
        limits: Of each container.
    """

    def __init__(self, shared: ReceiverState) -> None:
        self.records = ServiceRecords(shared.settings.store_folder, shared.workers)
        self._settings = shared.settings
        self._deployments = shared.deployments
        self.limits = _limits(shared.settings)
        self._proving = Proving(shared.settings)
        self._settling = Settling(self.records, shared.settings)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        """Hold this while you do anything to the containers of a name; it is given in order of arrival."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def settle(self, runtime: ContainerRuntime, name: str) -> ServiceRecord:
        """Put in order what an earlier start has left; hold the lock. What the engine and the disk raise."""
        return (await self._settling.settle(runtime, name))[0]

    async def start(self, engine: ContainerEngine, deployment: Deployment, image_id: str) -> str:
        """Start the container of a loaded image, by the image's id; return the container's id.

        A container that runs for this deployment already stays as it is. One of another deployment goes on, or is
        started again, if the new one does not prove itself. What a person should know of it besides goes into the
        deployment's `warnings`.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`, also when the name is taken by a container that is not this
                receiver's; `DOCKER_UNAVAILABLE`.
        """
        name = container_name(deployment.container_name)
        async with self.lock(name):
            runtime = engine.runtime
            record = await self.settle(runtime, name)
            current = await _inspected(runtime, record.current)
            if current is None or not self._serves(record.current, current, deployment, image_id):
                try:
                    current, warnings = await self._replace(runtime, record, current, deployment, image_id)
                except (DeploymentSenderError, asyncio.CancelledError) as exc:
                    kept = await self._undone(runtime, name)
                    if isinstance(exc, asyncio.CancelledError):
                        raise
                    await self._note_failure(deployment, exc)
                    raise _not_started(name, exc, kept) from exc
                await self._note(deployment, current, await self._tidied(runtime, name, warnings))
            return current.container_id

    async def runs(self, engine: ContainerEngine, deployment: Deployment) -> bool | None:
        """Return whether the container that was started for a deployment runs; None if it is gone.

        Raises:
            DeploymentSenderError: What the engine raises.
        """
        facts = None if deployment.container_id is None else await engine.runtime.inspect(deployment.container_id)
        return None if facts is None else facts.running

    def _serves(self, start: Start | None, facts: ContainerFacts, deployment: Deployment, image_id: str) -> bool:
        return (
            start is not None
            and (start.deployment_id, start.image_id) == (deployment.deployment_id, image_id)
            and start.limits == repr(self.limits)
            and facts.running
            and facts.restart_count == 0
            and facts.health != "unhealthy"
        )

    async def _replace(
        self,
        runtime: ContainerRuntime,
        record: ServiceRecord,
        current: ContainerFacts | None,
        deployment: Deployment,
        image_id: str,
    ) -> tuple[ContainerFacts, list[str]]:
        name = record.name
        new_name = name if current is None else next_name(name)
        await self._settling.must_be_free(runtime, record, {name, new_name})
        volumes, warnings = await self._volumes(runtime, record, current, image_id)
        # Two at once would damage data that both of them write.
        shared = set() if current is None else set(volumes.values()) & set(current.volumes.values())
        start = Start(
            token=secrets.token_hex(_TOKEN_BYTES),
            deployment_id=deployment.deployment_id,
            image_id=image_id,
            name=new_name,
            limits=repr(self.limits),
            stops_current=current is not None and current.active and bool(shared),
        )
        spec = ContainerSpec(image_id, new_name, self._labels(deployment, start.token), self.limits, volumes)
        record, start, container_id = await self._created(runtime, record, start, spec)
        if current is not None and start.stops_current:
            warnings += await self._settling.stopped(runtime, current)
        await runtime.start(container_id)
        facts = await self._proving.proven(runtime, container_id)
        await runtime.keep_up(container_id)
        changes = {
            "current": start,
            "next": None,
            "previous": None if current is None else record.current,
            "volumes": {**record.volumes, **facts.volumes},
        }
        await self.records.write(record.model_copy(update=changes))
        return facts, warnings

    async def _created(
        self, runtime: ContainerRuntime, record: ServiceRecord, start: Start, spec: ContainerSpec
    ) -> tuple[ServiceRecord, Start, str]:
        """Create a container that is on record before and after."""
        record = await self.records.write(record.model_copy(update={"next": start}))
        container_id = await runtime.create(spec)
        start = start.model_copy(update={"container_id": container_id})
        return await self.records.write(record.model_copy(update={"next": start})), start, container_id

    async def _volumes(
        self, runtime: ContainerRuntime, record: ServiceRecord, current: ContainerFacts | None, image_id: str
    ) -> tuple[dict[str, str], list[str]]:
        """Find the volumes that the service has had at the paths that its new image asks for."""
        asked = await runtime.volume_paths(image_id)
        known = {path: record.volumes[path] for path in asked if path in record.volumes}
        volumes = {path: volume for path, volume in known.items() if await runtime.has_volume(volume)}
        left = {} if current is None else {path: it for path, it in current.volumes.items() if path not in asked}
        if not left:
            return volumes, []
        kept = ", ".join(f"{path} (volume {volume})" for path, volume in sorted(left.items()))
        begun = ", ".join(path for path in asked if path not in volumes)
        warning = f"the image no longer asks for a volume at {kept}: the data is kept, and comes back with the path"
        return volumes, [warning + (f"; the volume at {begun} begins empty" if begun else "")]

    def _labels(self, deployment: Deployment, token: str) -> dict[str, str]:
        return {
            f"{LABEL_PREFIX}.id": deployment.deployment_id,
            f"{LABEL_PREFIX}.package": deployment.package_id,
            f"{LABEL_PREFIX}.image": deployment.reference,
            f"{LABEL_PREFIX}.receiver": f"{platform.node()}:{self._settings.store_folder}",
            TOKEN_LABEL: token,
        }

    async def _undone(self, runtime: ContainerRuntime, name: str) -> str:
        """Put back what was before; return what is to be said of it."""
        try:
            async with asyncio.timeout(_UNDO_SECONDS):
                record = await self.settle(runtime, name)
                old = await _inspected(runtime, record.current)
        except (DeploymentSenderError, TimeoutError) as exc:
            _log.warning("%s: not yet put back as it was: %s", name, exc)
            return "; the container before it is not yet put back"
        return "; the container before it goes on" if old is not None and old.active else ""

    async def _tidied(self, runtime: ContainerRuntime, name: str, warnings: list[str]) -> list[str]:
        """Remove the old container; the new one serves already, so what goes wrong is no failure."""
        try:
            return warnings + (await self._settling.settle(runtime, name))[1]
        except DeploymentSenderError as exc:
            _log.warning("%s: the old container is not yet removed: %s", name, exc.message)
            return [*warnings, f"the old container is not yet removed: {exc.message}"]

    async def _note(self, deployment: Deployment, facts: ContainerFacts, warnings: list[str]) -> None:
        for warning in warnings:
            _log.warning("%s: %s: %s", deployment.deployment_id, deployment.reference, warning)
        await self._deployments.change(
            deployment.deployment_id,
            container_status=facts.status,
            exit_code=None,
            oom_killed=False,
            restart_count=facts.restart_count,
            health=facts.health,
            warnings=tuple(warnings),
        )

    async def _note_failure(self, deployment: Deployment, exc: DeploymentSenderError) -> None:
        if isinstance(exc, NotProvenError):
            await self._deployments.change(
                deployment.deployment_id,
                exit_code=exc.end.exit_code if exc.end else None,
                oom_killed=exc.end.oom_killed if exc.end else None,
                health=exc.facts.health if exc.facts else None,
                warnings=(),
            )


async def _inspected(runtime: ContainerRuntime, start: Start | None) -> ContainerFacts | None:
    if start is None or start.container_id is None:
        return None
    return await runtime.inspect(start.container_id)


def _not_started(name: str, exc: DeploymentSenderError, kept: str) -> DeploymentSenderError:
    if isinstance(exc, NotProvenError):
        message = f"The container {name} could not be started: {exc.message}{kept}{exc.details}"
        return DeploymentSenderError(ErrorCode.BUILD_FAILED, message)
    return DeploymentSenderError(exc.code, f"{exc.message}{kept}", recovery=exc.recovery, retry=exc.retry)


def _limits(settings: ReceiverSettings) -> ContainerLimits:
    return ContainerLimits(
        memory_bytes=int(settings.container_memory_mb * _BYTES_PER_MB),
        cpus=settings.container_cpus,
        pids=settings.container_pids,
        log_file_bytes=int(settings.container_log_max_mb * _BYTES_PER_MB),
        log_files=settings.container_log_files,
    )
