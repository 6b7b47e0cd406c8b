"""Takes events to the broker by way of the outbox, so that none that was accepted is lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import DeploymentSenderError
from ..ports import Delivery
from .entries import Accepted, EventState, OutboxEntry
from .envelope import Event
from .journal import OutboxJournal
from .ordered_sender import LOOK_AGAIN_SECONDS, OrderedSender, publish_failure
from .reconnect import OpenPublisher, ReconnectingPublisher
from .thread import OutboxThread

__all__ = ["FlushReport", "OutboxPublisher", "Outcome"]

T = TypeVar("T")

_LINGER_SECONDS = 0.002  # so long after the last event the outbox is left to other processes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event that was accepted.

    Attributes:
        delivery: Where the broker stored it; None if it has not acknowledged it.
        queued: It waits in the outbox and is delivered later.
        error: Why it is not delivered, KAFKA_PUBLISH_FAILED; None too where there is no broker.
        newly_sent: Events acknowledged since the last outcome or report told a number: this one, and ones that waited.
    """

    delivery: Delivery | None
    queued: bool
    error: DeploymentSenderError | None
    newly_sent: int


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a flush did.

    Attributes:
        sent: As `Outcome.newly_sent`.
        waiting: Events that still wait.
        failed: Events that are set aside.
        error: Why some are left, KAFKA_PUBLISH_FAILED; None if none is.
    """

    sent: int
    waiting: int
    failed: int
    error: DeploymentSenderError | None


class OutboxPublisher:
    """The outbox with the broker behind it; opens each when it is first needed, and again after `close`.

    Args:
        path: The outbox's SQLite file.
        open_publisher: Connects to the broker; None where there is none.
    """

    def __init__(self, path: Path, open_publisher: OpenPublisher | None) -> None:
        self._outbox = OutboxThread(path)
        self._connection = None if open_publisher is None else ReconnectingPublisher(open_publisher)
        self._deliverer = None if self._connection is None else OrderedSender(self._outbox, self._connection)
        self._under_way = 0
        self._quiet = asyncio.Event()  # set where nothing is under way
        self._sweeping: asyncio.Task[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    async def submit(self, event: Event, timeout_seconds: float) -> Outcome:
        """Accept an event and deliver it, behind what waits of its key.

        Answers as soon as this event is acknowledged. What waits of other keys is delivered behind it, in the
        background.

        Args:
            event: From `build_event`.
            timeout_seconds: Bounds the call, and what goes on behind it.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED when the outbox did not accept the event.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        delivery, error = None, None
        with self._working():
            if self._deliverer is None:
                await self._accept(OutboxJournal.accept, event, deadline)
                return Outcome(None, queued=True, error=None, newly_sent=0)
            accepted = await self._accept(OutboxJournal.accept_to_deliver, event, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    delivery = await self._deliver(accepted, self._deliverer)
            except TimeoutError:
                error = publish_failure(f"the broker did not acknowledge the event within {timeout_seconds:g} s")
            except DeploymentSenderError as exc:
                error = exc
        if delivery is not None and not accepted.alone:
            self._start_sweep(deadline, self._deliverer)
        return Outcome(delivery, error is not None and error.retry, error, self._deliverer.take_sent())

    async def _accept(self, operation: Callable[[OutboxJournal, Event], T], event: Event, deadline: float) -> T:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._outbox.run(operation, event)
        except TimeoutError as exc:
            raise publish_failure(
                "the outbox did not answer in time; it may have the event or not",
                recovery="Look for a disk that hangs; `deployment-sender events` lists what the outbox has.",
            ) from exc

    async def _deliver(self, accepted: Accepted, deliverer: OrderedSender) -> Delivery:
        """Deliver, or wait until the process that may do so has."""
        delivery = await deliverer.deliver(accepted.stored, alone=accepted.alone) if accepted.owned else None
        while delivery is None:
            look = await self._outbox.run(OutboxJournal.look, accepted.stored)
            if look.entry is None or look.entry.state is EventState.FAILED:
                reason = "was dropped" if look.entry is None else f"was set aside: {look.entry.last_error}"
                raise publish_failure(f"the event {reason}", retry=False)
            delivery = look.entry.delivery
            if delivery is None and look.owned:
                delivery = await deliverer.deliver(accepted.stored, alone=False)
            elif delivery is None:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return delivery

    async def flush(self, timeout_seconds: float) -> FlushReport:
        """Deliver all that waits, and try again what was set aside.

        Args:
            timeout_seconds: Bounds the delivering.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED when the outbox cannot be used.
        """
        sent, error = 0, None
        if self._deliverer is None:
            error = publish_failure("no broker is set", recovery="Set KAFKA_BOOTSTRAP_SERVERS to host:port.")
        else:
            try:
                async with asyncio.timeout(timeout_seconds):
                    error = await self._flush(self._deliverer)
            except TimeoutError:
                error = publish_failure(f"the broker did not take all events within {timeout_seconds:g} s")
            sent = self._deliverer.take_sent()
        counts = await self.counts()
        waiting, failed = counts[EventState.WAITING], counts[EventState.FAILED]
        return FlushReport(sent, waiting, failed, error if waiting or failed else None)

    async def _flush(self, deliverer: OrderedSender) -> DeploymentSenderError | None:
        with self._working():
            await self._outbox.run(OutboxJournal.retry_failed)
            while not await self._outbox.run(OutboxJournal.own):  # noqa: ASYNC110 - another process has no event to set
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            return await deliverer.sweep()

    async def listing(self, limit: int) -> list[OutboxEntry]:
        """List up to `limit` events, newest first."""
        return await self._outbox.run(OutboxJournal.entries, limit)

    async def counts(self) -> dict[EventState, int]:
        """Count the events of each state."""
        return await self._outbox.run(OutboxJournal.counts)

    async def drop(self, event_id: str) -> bool:
        """Forget an event that was set aside, so that its key goes on; False if there is none of that id."""
        return await self._outbox.run(OutboxJournal.drop, event_id)

    async def close(self) -> None:
        """Let what is under way end, within its deadline, then leave broker and outbox; twice is safe."""
        try:
            while self._under_way or self._sweeping is not None:
                await (self._quiet.wait() if self._sweeping is None else asyncio.wait({self._sweeping}))
        except asyncio.CancelledError:
            if self._sweeping is not None:
                self._sweeping.cancel()
                await asyncio.wait({self._sweeping})
            raise
        finally:
            try:
                if self._connection is not None:
                    await self._connection.close()
            finally:
                await self._outbox.close()

    def _start_sweep(self, deadline: float, deliverer: OrderedSender) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep(deadline, deliverer))
            # No `finally` of the task's own: one that is cancelled before it has begun never comes to it.
            self._sweeping.add_done_callback(self._forget_sweep)

    def _forget_sweep(self, _: asyncio.Task[None]) -> None:
        self._sweeping = None

    async def _sweep(self, deadline: float, deliverer: OrderedSender) -> None:
        with self._working(), suppress(TimeoutError, DeploymentSenderError):  # what fails is noted in the outbox
            async with asyncio.timeout_at(deadline):
                if await self._outbox.run(OutboxJournal.own):
                    await deliverer.sweep()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep the right to deliver meanwhile, and a little longer: the next event often comes soon."""
        self._under_way += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()
                if self._lingering is not None:
                    self._lingering.cancel()
                self._lingering = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._rest)

    def _rest(self) -> None:
        if not self._under_way:
            self._outbox.rest()
