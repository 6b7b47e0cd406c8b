"""Looks again and again at what really runs, and has the deployments say so."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import ContainerEnd, ContainerEngine, ContainerFacts, ContainerRuntime
from ..state import ReceiverState
from .container_words import ended, log_said, not_active
from .records import Deployment
from .service_records import Start
from .services import Services

__all__ = ["Watching"]

_log = logging.getLogger(__name__)

# However often it was started again, a container that has stayed up for so many watches is no longer called failed.
_WATCHES_MAX = 60


class Watching:
    """Watches every service that this receiver has started, in the background.

    A container that does not run, or that its engine had to start again, makes its deployment `failed`; once it has
    stayed up for `start_watch_seconds`, times the number of its restarts, the deployment is `running` again.

    Args:
        shared: The receiver's own.
        services: What to look at.
        open_engine: Returns the engine; asked only while there are services.
    """

    def __init__(
        self, shared: ReceiverState, services: Services, open_engine: Callable[[], Awaitable[ContainerEngine]]
    ) -> None:
        self._settings = shared.settings
        self._deployments = shared.deployments
        self._services = services
        self._open_engine = open_engine
        self._task: asyncio.Task[None] | None = None
        self._troubles: dict[str, str] = {}
        self._restarts_seen: dict[str, tuple[int, float]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="watching services")

    async def close(self) -> None:
        """End watching; twice is safe."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Look at every service once. `DOCKER_UNAVAILABLE`."""
        names = await self._services.records.names()
        if not names:
            return
        runtime = (await self._open_engine()).runtime
        for name in names:
            lock = self._services.lock(name)
            if lock.locked():
                continue  # a start is under way, and sees for itself
            async with lock:
                try:
                    await self._look_at(runtime, name)
                except DeploymentSenderError as exc:
                    if exc.code is ErrorCode.DOCKER_UNAVAILABLE:
                        raise
                    self._warn(name, exc.message)
                else:
                    self._troubles.pop(name, None)

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
                self._troubles.pop("", None)
            except DeploymentSenderError as exc:
                self._warn("", exc.message)
            except Exception:  # noqa: BLE001 - one thing that nobody has thought of must not end the watching
                _log.exception("unexpected while looking at the containers")
            await asyncio.sleep(self._settings.watch_interval_seconds)

    def _warn(self, name: str, message: str) -> None:
        """Log a trouble when it is new, and not each time that it is met again."""
        if self._troubles.get(name) != message:
            self._troubles[name] = message
            _log.warning("%s", f"{name}: {message}" if name else message)

    async def _look_at(self, runtime: ContainerRuntime, name: str) -> None:
        record = await self._services.settle(runtime, name)
        start = record.current
        if start is None or start.container_id is None:
            return
        deployment = self._deployments.get(start.deployment_id)
        if deployment is None or not _is_judged_here(deployment, start):
            return
        facts = await runtime.inspect(start.container_id)
        changes = await self._changes(runtime, deployment, facts)
        if any(getattr(deployment, field) != value for field, value in changes.items()):
            await self._deployments.change(deployment.deployment_id, **changes)

    async def _changes(
        self, runtime: ContainerRuntime, deployment: Deployment, facts: ContainerFacts | None
    ) -> dict[str, object]:
        if facts is None:
            return {"container_status": "removed", "health": None, **_failed(not_active(None))}
        changes: dict[str, object] = {
            "container_status": facts.status,
            "restart_count": facts.restart_count,
            "health": facts.health,
        }
        has_crashed = facts.restart_count > (deployment.restart_count or 0)
        if facts.running and not has_crashed:
            if deployment.status == "failed" and self._has_stayed_up(facts):
                changes |= {"status": "running", "error_code": None, "error_message": None}
            return changes
        if not has_crashed and deployment.container_status == facts.status and deployment.status == "failed":
            return changes  # seen and told
        end = await runtime.last_end(facts)
        log = await runtime.log_tail(facts.container_id)
        changes |= {"exit_code": end.exit_code, "oom_killed": end.oom_killed}
        return changes | _failed(self._words(facts, end) + log_said(log))

    def _words(self, facts: ContainerFacts, end: ContainerEnd) -> str:
        if facts.status in {"exited", "dead"}:
            return f"the container was stopped, not by this receiver: {ended(end, self._settings, facts.error)}"
        if facts.restart_count == 0:
            return f"the container does not run: {not_active(facts)}"
        times = f"{facts.restart_count} time{'s' if facts.restart_count > 1 else ''}"
        return f"the engine had to start the container again, {times}: {ended(end, self._settings, facts.error)}"

    def _has_stayed_up(self, facts: ContainerFacts) -> bool:
        now = time.monotonic()
        restarts, since = self._restarts_seen.get(facts.container_id, (-1, now))
        if restarts != facts.restart_count:
            since = now
        self._restarts_seen[facts.container_id] = (facts.restart_count, since)
        watches = min(max(facts.restart_count, 1), _WATCHES_MAX)
        return now - since >= self._settings.start_watch_seconds * watches


def _is_judged_here(deployment: Deployment, start: Start) -> bool:
    """Tell whether a deployment's status is that of its container: nothing else is done for it, or has failed."""
    if deployment.container_id != start.container_id:
        return False
    of_a_container = deployment.error_code in {None, ErrorCode.BUILD_FAILED}
    return deployment.status == "running" or (deployment.status == "failed" and of_a_container)


def _failed(message: str) -> dict[str, object]:
    return {"status": "failed", "error_code": ErrorCode.BUILD_FAILED.value, "error_message": message}
