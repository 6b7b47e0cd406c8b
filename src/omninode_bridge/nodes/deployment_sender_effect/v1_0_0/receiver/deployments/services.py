"""Runs one container for each image name: decides whether it must be replaced, and restores it after an error."""

import asyncio
import logging

from ...errors import EngineUnavailableError, OperationError
from ...ports import ContainerEngine, ContainerFacts, ContainerRuntime
from ..state import ReceiverState
from .cleanup import ServiceCleanup
from .container_names import container_name
from .failures import ContainerError
from .locks import NamedLocks
from .readiness import NotReadyError
from .record import Deployment
from .replacement import Replacement, container_limits
from .service_records import ServiceRecord, ServiceRecords, Start

__all__ = ["Services"]

_log = logging.getLogger(__name__)

# For undoing a start that failed or was cancelled: removing the new container and starting the old one take seconds.
# With an engine that takes longer, the next start or the container watcher undoes it.
_UNDO_SECONDS = 30


class Services:
    """Starts and replaces containers, and records which are this receiver's (service_records.py).

    Args:
        state: The receiver's settings, threads and deployments.

    Attributes:
        records: Of each service.
        limits: Of each container.
    """

    def __init__(self, state: ReceiverState) -> None:
        self.records = ServiceRecords(state.settings.store_folder, state.workers)
        self._deployments = state.deployments
        self.limits = container_limits(state.settings)
        self._cleanup = ServiceCleanup(self.records, state.settings)
        self._replacement = Replacement(self.records, self._cleanup, state.settings)
        self._locks = NamedLocks()

    def lock(self, name: str) -> asyncio.Lock:
        """Return the lock to hold while changing the containers of a name."""
        return self._locks.of(name)

    async def clean_up(self, runtime: ContainerRuntime, name: str) -> ServiceRecord:
        """Complete or undo an earlier start, as `ServiceCleanup.clean_up` does; callers hold the lock."""
        return (await self._cleanup.clean_up(runtime, name))[0]

    async def start(self, engine: ContainerEngine, deployment: Deployment, image_id: str) -> str:
        """Start the container of a loaded image, and return the container's id.

        A container that runs for this deployment already stays as it is. The container of another deployment keeps
        running, or is started again, if the new one does not become ready. What an operator should know besides is
        recorded in the deployment's `warnings`.

        Args:
            engine: The engine that has the image.
            deployment: The deployment of the image.
            image_id: The engine's id of the image.

        Raises:
            ContainerError: The container could not be started, or a container of others has its name.
            EngineUnavailableError: The engine does not respond.
        """
        name = container_name(deployment.image_name)
        async with self.lock(name):
            runtime = engine.runtime
            record = await self.clean_up(runtime, name)
            current = await _inspect(runtime, record.current)
            if current is None or not self._runs_as_wanted(record.current, current, deployment, image_id):
                try:
                    current, warnings = await self._replacement.replace(runtime, record, current, deployment, image_id)
                except (OperationError, asyncio.CancelledError) as exc:
                    outcome = await self._undo(runtime, name)
                    if isinstance(exc, asyncio.CancelledError):
                        raise
                    await self._record_failure(deployment, exc)
                    raise _start_error(name, exc, outcome) from exc
                await self._record_success(deployment, current, await self._complete(runtime, name, warnings))
            return current.container_id

    async def is_running(self, engine: ContainerEngine, deployment: Deployment) -> bool | None:
        """Return whether the container that was started for a deployment runs; None if it no longer exists.

        Raises:
            EngineUnavailableError: The engine does not respond.
            EngineRefusedError: The engine responded with an error.
        """
        facts = None if deployment.container_id is None else await engine.runtime.inspect(deployment.container_id)
        return None if facts is None else facts.running

    def _runs_as_wanted(
        self, start: Start | None, facts: ContainerFacts, deployment: Deployment, image_id: str
    ) -> bool:
        return (
            start is not None
            and (start.deployment_id, start.image_id) == (deployment.deployment_id, image_id)
            and start.limits == repr(self.limits)
            and facts.running
            and facts.restart_count == 0
            and facts.health != "unhealthy"
        )

    async def _undo(self, runtime: ContainerRuntime, name: str) -> str:
        """Restore the state before a start that failed; return the end of the message about it."""
        try:
            async with asyncio.timeout(_UNDO_SECONDS):
                record = await self.clean_up(runtime, name)
                old = await _inspect(runtime, record.current)
        except (OperationError, TimeoutError) as exc:
            _log.warning("%s: the previous container is not yet restored: %s", name, exc)
            return "; the previous container is not yet restored"
        return "; the previous container keeps running" if old is not None and old.active else ""

    async def _complete(self, runtime: ContainerRuntime, name: str, warnings: list[str]) -> list[str]:
        """Remove the old container. The new one runs already, so an error here is only a warning."""
        try:
            return warnings + (await self._cleanup.clean_up(runtime, name))[1]
        except OperationError as exc:
            _log.warning("%s: the old container is not yet removed: %s", name, exc.message)
            return [*warnings, f"the old container is not yet removed: {exc.message}"]

    async def _record_success(self, deployment: Deployment, facts: ContainerFacts, warnings: list[str]) -> None:
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

    async def _record_failure(self, deployment: Deployment, exc: OperationError) -> None:
        if isinstance(exc, NotReadyError):
            await self._deployments.change(
                deployment.deployment_id,
                exit_code=exc.end.exit_code if exc.end else None,
                oom_killed=exc.end.oom_killed if exc.end else None,
                health=exc.facts.health if exc.facts else None,
                warnings=(),
            )


async def _inspect(runtime: ContainerRuntime, start: Start | None) -> ContainerFacts | None:
    if start is None or start.container_id is None:
        return None
    return await runtime.inspect(start.container_id)


def _start_error(name: str, exc: OperationError, outcome: str) -> OperationError:
    """Return the error of a start, with the state of the previous container in its message."""
    if isinstance(exc, NotReadyError):
        return ContainerError(f"The container {name} could not be started: {exc.message}{outcome}{exc.details}")
    kind = EngineUnavailableError if isinstance(exc, EngineUnavailableError) else ContainerError
    return kind(f"{exc.message}{outcome}", recovery=exc.recovery, retry=exc.retry)
