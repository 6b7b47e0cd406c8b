"""Decides whether a new container is ready, before it replaces the old one."""

import asyncio
import time

from ...ports import ContainerEnd, ContainerFacts, ContainerRuntime
from ...settings import ReceiverSettings
from .container_messages import describe_end, describe_inactive, quote_health_output, quote_log
from .failures import ContainerError

__all__ = ["NotReadyError", "ReadinessCheck"]

# Between two inspections of a new container: short beside `start_watch_seconds` (10 s), few enough for any engine.
_INTERVAL_SECONDS = 0.2


class NotReadyError(ContainerError):
    """A new container did not become ready.

    Args:
        reason: Why, in one sentence; `it` is the container.
        details: Its log and the output of its health check, on lines of their own.
        end: How its process ended; None if it runs.
        facts: The container; None if the engine no longer has it.
    """

    def __init__(
        self, reason: str, details: str = "", *, end: ContainerEnd | None = None, facts: ContainerFacts | None = None
    ) -> None:
        super().__init__(reason)
        self.details = details
        self.end = end
        self.facts = facts


class ReadinessCheck:
    """Watches new containers until they are ready.

    Args:
        settings: Say how long.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._interval_seconds = min(_INTERVAL_SECONDS, settings.start_watch_seconds)

    async def wait_until_ready(self, runtime: ContainerRuntime, container_id: str) -> ContainerFacts:
        """Wait until a container that was just started is ready, and return it.

        With a health check it must become healthy, within the time that the check's own settings allow; without one it
        must stay up for `start_watch_seconds`. A process that ends, with any exit code, has not stayed up.

        Raises:
            NotReadyError: It is not ready and will not be.
            EngineUnavailableError: The engine does not respond.
            EngineRefusedError: The engine responded with an error.
        """
        began = time.monotonic()
        while True:
            await asyncio.sleep(self._interval_seconds)
            seconds = time.monotonic() - began
            facts = await runtime.inspect(container_id)
            if facts is None or not facts.running:
                raise await self._not_running(runtime, facts)
            if facts.health == "healthy" or (facts.health is None and seconds >= self._settings.start_watch_seconds):
                return facts
            if facts.health == "unhealthy":
                raise await self._unhealthy(runtime, facts, "it is unhealthy by its own health check")
            limit = min(facts.health_within_seconds, self._settings.health_timeout_seconds)
            if facts.health is not None and seconds >= limit:
                raise await self._unhealthy(runtime, facts, self._no_verdict(limit))

    def _no_verdict(self, limit_seconds: float) -> str:
        message = f"its health check has not finished within {limit_seconds:g} s"
        if limit_seconds != self._settings.health_timeout_seconds:
            return message
        return f"{message} (health_timeout_seconds, {self._settings.env_name('health_timeout_seconds')})"

    async def _not_running(self, runtime: ContainerRuntime, facts: ContainerFacts | None) -> NotReadyError:
        if facts is None or facts.finished_at is None:
            return NotReadyError(describe_inactive(facts), facts=facts)
        end = await runtime.last_end(facts)
        details = quote_health_output(facts) + quote_log(await runtime.log_tail(facts.container_id))
        reason = describe_end(end, self._settings, facts.error)
        if end.exit_code == 0:
            reason += "; a container must keep running (to deploy an image whose process ends, leave --run off)"
        return NotReadyError(reason, details, end=end, facts=facts)

    @staticmethod
    async def _unhealthy(runtime: ContainerRuntime, facts: ContainerFacts, reason: str) -> NotReadyError:
        details = quote_health_output(facts) + quote_log(await runtime.log_tail(facts.container_id))
        return NotReadyError(reason, details, facts=facts)
