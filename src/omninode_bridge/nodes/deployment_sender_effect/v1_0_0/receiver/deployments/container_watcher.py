"""Inspects the started containers at intervals, and records what their engine reports."""

import logging
import time
from collections.abc import Awaitable, Callable

from ...errors import EngineUnavailableError, OperationError
from ...ports import ContainerEnd, ContainerEngine, ContainerFacts, ContainerRuntime
from ..state import ReceiverState
from .container_messages import GONE, describe_end, describe_inactive, quote_log
from .failures import NO_ERROR, is_container_failure, loss
from .periodic import PeriodicTask
from .record import Deployment
from .service_records import Start
from .services import Services

__all__ = ["ContainerWatcher"]

_log = logging.getLogger(__name__)

# A container that has stayed up for 60 times `start_watch_seconds` (10 minutes by default) counts as running, however
# often it was restarted before.
_WATCHES_MAX = 60


class ContainerWatcher:
    """Watches every container that this receiver has started, in the background.

    A container that does not run, or that its engine had to restart, makes its deployment `failed`; once the container
    has stayed up for `start_watch_seconds` times the number of its restarts, the deployment is `running` again.

    Args:
        state: The receiver's settings, threads and deployments.
        services: The containers.
        open_engine: Returns the engine; called only while there are containers.
    """

    def __init__(
        self, state: ReceiverState, services: Services, open_engine: Callable[[], Awaitable[ContainerEngine]]
    ) -> None:
        self._settings = state.settings
        self._deployments = state.deployments
        self._containers = state.containers
        self._services = services
        self._open_engine = open_engine
        self._periodic = PeriodicTask(self._watch, state.settings.watch_interval_seconds, "watching containers")
        self._reported: dict[str, str] = {}
        self._restarts_seen: dict[str, tuple[int, float]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._periodic.start()

    async def close(self) -> None:
        """Stop watching; calling it twice is safe."""
        await self._periodic.close()

    async def inspect_all(self) -> None:
        """Inspect every container once.

        Raises:
            EngineUnavailableError: The engine does not respond.
            StorageError: The records cannot be read.
        """
        names = await self._services.records.names()
        running = self._deployments.finished_as("running")
        if not names and not running:
            return
        runtime = (await self._open_engine()).runtime
        watched = {container_id for name in names for container_id in await self._watch_service(runtime, name)}
        for deployment in running:
            if deployment.container_id not in watched:
                await self._report(deployment.deployment_id, self._check_existence(runtime, deployment))

    async def _watch(self) -> None:
        try:
            await self.inspect_all()
            self._reported.pop("", None)
        except OperationError as exc:
            self._warn("", exc.message)

    async def _watch_service(self, runtime: ContainerRuntime, name: str) -> set[str]:
        """Complete what a start has left, and inspect the container of a service; return the service's containers."""
        lock = self._services.lock(name)
        if not lock.locked():  # otherwise a start is under way, which inspects the container itself
            async with lock:
                await self._report(name, self._inspect_service(runtime, name))
        return (await self._services.records.get(name)).container_ids

    async def _report(self, name: str, work: Awaitable[None]) -> None:
        """Do work on one service; log its error, so that the other services are inspected, too."""
        try:
            await work
        except EngineUnavailableError:
            raise
        except OperationError as exc:
            self._warn(name, exc.message)
        else:
            self._reported.pop(name, None)

    def _warn(self, name: str, message: str) -> None:
        """Log an error when it first occurs, and not each time that it occurs again."""
        if self._reported.get(name) != message:
            self._reported[name] = message
            _log.warning("%s", f"{name}: {message}" if name else message)

    async def _inspect_service(self, runtime: ContainerRuntime, name: str) -> None:
        record = await self._services.clean_up(runtime, name)
        start = record.current
        if start is None or start.container_id is None:
            return
        deployment = self._deployments.get(start.deployment_id)
        if deployment is None or not _depends_on(deployment, start):
            return
        facts = await runtime.inspect(start.container_id)
        changes = _gone() if facts is None else await self._changes(runtime, deployment, facts)
        if any(getattr(deployment, field) != value for field, value in changes.items()):
            await self._deployments.change(deployment.deployment_id, **changes)

    async def _check_existence(self, runtime: ContainerRuntime, deployment: Deployment) -> None:
        """Check a container without a service record, which an earlier version started or whose record was lost."""
        lock = self._containers.of(deployment.image_name)
        if lock.locked():
            return  # a start is under way, and will replace this container
        async with lock:
            facts = await runtime.inspect(deployment.container_id) if deployment.container_id is not None else None
            if facts is None and self._deployments.get(deployment.deployment_id) == deployment:
                await self._deployments.change(deployment.deployment_id, **_gone())

    async def _changes(
        self, runtime: ContainerRuntime, deployment: Deployment, facts: ContainerFacts
    ) -> dict[str, object]:
        changes: dict[str, object] = {
            "container_status": facts.status,
            "restart_count": facts.restart_count,
            "health": facts.health,
        }
        has_crashed = facts.restart_count > (deployment.restart_count or 0)
        if facts.running and not has_crashed:
            if deployment.status == "failed" and self._has_stayed_up(facts):
                changes |= {"status": "running", **NO_ERROR}
            return changes
        if not has_crashed and deployment.container_status == facts.status and deployment.status == "failed":
            return changes  # recorded before
        end = await runtime.last_end(facts)
        log = await runtime.log_tail(facts.container_id)
        changes |= {"exit_code": end.exit_code, "oom_killed": end.oom_killed}
        return changes | loss(self._reason(facts, end) + quote_log(log))

    def _reason(self, facts: ContainerFacts, end: ContainerEnd) -> str:
        if facts.status in {"exited", "dead"}:
            return f"the container was stopped, not by this receiver: {describe_end(end, self._settings, facts.error)}"
        if facts.restart_count == 0:
            return f"the container does not run: {describe_inactive(facts)}"
        times = f"{facts.restart_count} time{'s' if facts.restart_count > 1 else ''}"
        return f"the engine had to restart the container {times}: {describe_end(end, self._settings, facts.error)}"

    def _has_stayed_up(self, facts: ContainerFacts) -> bool:
        now = time.monotonic()
        restarts, since = self._restarts_seen.get(facts.container_id, (-1, now))
        if restarts != facts.restart_count:
            since = now
        self._restarts_seen[facts.container_id] = (facts.restart_count, since)
        watches = min(max(facts.restart_count, 1), _WATCHES_MAX)
        return now - since >= self._settings.start_watch_seconds * watches


def _depends_on(deployment: Deployment, start: Start) -> bool:
    """Return whether a deployment's status is that of this container, and not that of another step or failure."""
    return deployment.container_id == start.container_id and (
        deployment.status == "running" or is_container_failure(deployment)
    )


def _gone() -> dict[str, object]:
    return {"container_status": "removed", "health": None, **loss(f"the container {GONE}")}
