"""Sees that a new container stays up, or is healthy by its own health check, before it replaces anything."""

import asyncio
import time

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import ContainerEnd, ContainerFacts, ContainerRuntime
from ...settings import ReceiverSettings
from .container_messages import ended, health_said, log_said, not_active

__all__ = ["NotProvenError", "Proving"]

_LOOK_SECONDS = 0.2


class NotProvenError(DeploymentSenderError):
    """A new container that did not prove itself. BUILD_FAILED.

    Attributes:
        details: Its log and its health check's words, each on lines of its own.
        end: How its process ended; None if it runs.
        facts: What the engine said of it; None if it was gone.
    """

    def __init__(
        self, trouble: str, details: str = "", *, end: ContainerEnd | None = None, facts: ContainerFacts | None = None
    ) -> None:
        super().__init__(ErrorCode.BUILD_FAILED, trouble)
        self.details = details
        self.end = end
        self.facts = facts


class Proving:
    """Watches new containers.

    Args:
        settings: For how long.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self._look_seconds = min(_LOOK_SECONDS, settings.start_watch_seconds)

    async def proven(self, runtime: ContainerRuntime, container_id: str) -> ContainerFacts:
        """Wait until a container that was just started has proved itself.

        With a health check it must become healthy, within the time that the check's own settings give it; without one
        it must stay up for `start_watch_seconds`. A process that ends, with whatever exit code, has not stayed up.

        Raises:
            DeploymentSenderError: `NotProvenError`; what the engine raises.
        """
        began = time.monotonic()
        while True:
            await asyncio.sleep(self._look_seconds)
            seconds = time.monotonic() - began
            facts = await runtime.inspect(container_id)
            if facts is None or not facts.running:
                raise await self._ended(runtime, facts)
            if facts.health is None:
                if seconds >= self._settings.start_watch_seconds:
                    return facts
            elif facts.health == "healthy":
                return facts
            elif facts.health == "unhealthy":
                raise await self._unhealthy(runtime, facts, "it is unhealthy by its own health check")
            elif seconds >= (limit := min(facts.health_within_seconds, self._settings.health_timeout_seconds)):
                words = f"its health check has come to no verdict within {limit:g} s"
                variable = self._settings.env_name("health_timeout_seconds")
                if limit == self._settings.health_timeout_seconds:
                    words += f" (health_timeout_seconds, {variable})"
                raise await self._unhealthy(runtime, facts, words)

    async def _ended(self, runtime: ContainerRuntime, facts: ContainerFacts | None) -> NotProvenError:
        if facts is None or facts.finished_at is None:
            return NotProvenError(not_active(facts), facts=facts)
        end = await runtime.last_end(facts)
        details = health_said(facts) + log_said(await runtime.log_tail(facts.container_id))
        words = ended(end, self._settings, facts.error)
        if end.exit_code == 0:
            words += "; what a receiver starts must stay up (for an image that ends by itself, leave --run off)"
        return NotProvenError(words, details, end=end, facts=facts)

    @staticmethod
    async def _unhealthy(runtime: ContainerRuntime, facts: ContainerFacts, trouble: str) -> NotProvenError:
        details = health_said(facts) + log_said(await runtime.log_tail(facts.container_id))
        return NotProvenError(trouble, details, facts=facts)
