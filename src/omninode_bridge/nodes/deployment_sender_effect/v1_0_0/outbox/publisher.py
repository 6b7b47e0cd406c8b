"""Publishes events through the outbox, so that none that was accepted is lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from ..errors import PublishError
from ..ports import Delivery
from .entries import Accepted, EventState
from .envelope import Event
from .journal import OutboxJournal
from .ordered_sender import POLL_SECONDS, OrderedSender
from .reconnect import OpenPublisher, ReconnectingPublisher
from .thread import OutboxThread

__all__ = ["FlushReport", "OutboxPublisher", "Outcome"]

T = TypeVar("T")

# The delivery lock is kept so long after the last event: the next one often follows within a millisecond, and another
# process need not wait long.
_LINGER_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of submitting an event that was accepted.

    Attributes:
        delivery: Where the broker stored it; None if the broker has not acknowledged it.
        queued: It waits in the outbox and is delivered later.
        error: Why it is not delivered; None also if no broker is set.
        newly_sent: Events acknowledged since the last outcome or report, with those that waited before.
    """

    delivery: Delivery | None
    queued: bool
    error: PublishError | None
    newly_sent: int


@dataclass(frozen=True, slots=True)
class FlushReport:
    """The result of a flush.

    Attributes:
        sent: As `Outcome.newly_sent`.
        waiting: Events that still wait.
        failed: Events that the broker refuses for good.
        error: Why some are left; None if none is.
    """

    sent: int
    waiting: int
    failed: int
    error: PublishError | None


class OutboxPublisher:
    """The outbox and the broker; each is opened when first needed, and again after `close`.

    Args:
        outbox: Where events are written first.
        open_publisher: Connects to the broker; None if no broker is set.
        poll_seconds: How often the outbox is read while another process has the delivery lock.
        sweep_poll_seconds: How often a sweep reads the outbox for events of other processes.
    """

    def __init__(
        self,
        outbox: OutboxThread,
        open_publisher: OpenPublisher | None,
        *,
        poll_seconds: float = POLL_SECONDS,
        sweep_poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._poll_seconds = poll_seconds
        self._connection = None if open_publisher is None else ReconnectingPublisher(open_publisher)
        self._sender = None if self._connection is None else OrderedSender(outbox, self._connection, sweep_poll_seconds)
        self._under_way = 0
        self._idle = asyncio.Event()  # set while nothing is under way
        self._sweeping: asyncio.Task[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    async def submit(self, event: Event, timeout_seconds: float) -> Outcome:
        """Accept an event and deliver it, after the earlier ones of its key.

        Returns as soon as this event is acknowledged. Waiting events of other keys are delivered in the background.

        Args:
            event: From `build_event`.
            timeout_seconds: Bounds the call, and the delivery in the background.

        Raises:
            PublishError: The outbox did not accept the event.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        delivery, error = None, None
        with self._working():
            if self._sender is None:
                await self._accept(OutboxJournal.accept, event, deadline)
                return Outcome(None, queued=True, error=None, newly_sent=0)
            accepted = await self._accept(OutboxJournal.accept_to_deliver, event, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    delivery = await self._deliver(accepted, self._sender)
            except TimeoutError:
                error = PublishError(f"the broker did not acknowledge the event within {timeout_seconds:g} s")
            except PublishError as exc:
                error = exc
        if delivery is not None and not accepted.alone:
            self._start_sweep(deadline, self._sender)
        return Outcome(delivery, error is not None and error.retry, error, self._sender.take_sent_count())

    async def _accept(self, operation: Callable[[OutboxJournal, Event], T], event: Event, deadline: float) -> T:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._outbox.run(operation, event)
        except TimeoutError as exc:
            raise PublishError(
                "the outbox did not respond in time; the event may be in it or not",
                recovery="Check whether the disk hangs; `deployment-sender events` lists the events in the outbox.",
            ) from exc

    async def _deliver(self, accepted: Accepted, sender: OrderedSender) -> Delivery:
        """Deliver, or wait until the process that has the delivery lock has delivered."""
        delivery = await sender.deliver(accepted.stored, alone=accepted.alone) if accepted.has_lock else None
        while delivery is None:
            status = await self._outbox.run(OutboxJournal.event_status, accepted.stored)
            if status.entry is None:
                raise PublishError("the event was dropped", retry=False)
            if status.entry.state is EventState.FAILED:
                raise PublishError(f"the broker refused the event for good: {status.entry.last_error}", retry=False)
            delivery = status.entry.delivery
            if delivery is None and status.has_lock:
                delivery = await sender.deliver(accepted.stored, alone=False)
            elif delivery is None:
                await asyncio.sleep(self._poll_seconds)
        return delivery

    async def flush(self, timeout_seconds: float) -> FlushReport:
        """Deliver all waiting events, and try those again that failed.

        Args:
            timeout_seconds: Bounds the delivery.

        Raises:
            PublishError: The outbox cannot be used.
        """
        sent, error = 0, None
        if self._sender is None:
            error = PublishError("no broker is set", recovery="Set KAFKA_BOOTSTRAP_SERVERS to host:port.")
        else:
            try:
                async with asyncio.timeout(timeout_seconds):
                    error = await self._flush(self._sender)
            except TimeoutError:
                error = PublishError(f"the broker did not acknowledge all events within {timeout_seconds:g} s")
            sent = self._sender.take_sent_count()
        counts = await self._outbox.run(OutboxJournal.counts)
        waiting, failed = counts[EventState.WAITING], counts[EventState.FAILED]
        return FlushReport(sent, waiting, failed, error if waiting or failed else None)

    async def _flush(self, sender: OrderedSender) -> PublishError | None:
        with self._working():
            await self._outbox.run(OutboxJournal.retry_failed)
            while True:  # another process releases the lock without an event for this one
                if await self._outbox.run(OutboxJournal.acquire_delivery_lock):
                    return await sender.sweep()
                await asyncio.sleep(self._poll_seconds)

    async def close(self) -> None:
        """Wait for what is under way, within its deadline, then close broker and outbox; calling it twice is safe."""
        try:
            while self._under_way or self._sweeping is not None:
                await (self._idle.wait() if self._sweeping is None else asyncio.wait({self._sweeping}))
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

    def _start_sweep(self, deadline: float, sender: OrderedSender) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep(deadline, sender))
            # A callback, as a task that is cancelled before it begins never runs a `finally` of its own.
            self._sweeping.add_done_callback(self._forget_sweep)

    def _forget_sweep(self, _: asyncio.Task[None]) -> None:
        self._sweeping = None

    async def _sweep(self, deadline: float, sender: OrderedSender) -> None:
        with self._working(), suppress(TimeoutError, PublishError):  # each failure is recorded in the outbox
            async with asyncio.timeout_at(deadline):
                if await self._outbox.run(OutboxJournal.acquire_delivery_lock):
                    await sender.sweep()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep the delivery lock during the block, and for `_LINGER_SECONDS` after it."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
                if self._lingering is not None:
                    self._lingering.cancel()
                self._lingering = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._release_lock)

    def _release_lock(self) -> None:
        if not self._under_way:
            self._outbox.start(OutboxJournal.release_delivery_lock)
