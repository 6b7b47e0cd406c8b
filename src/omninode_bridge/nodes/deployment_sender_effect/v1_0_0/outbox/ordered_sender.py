"""Delivers the waiting events of an outbox, in order per key.

A task that delivers events of a key holds the key's turn. It sends the first waiting event until the broker has
acknowledged it, then the next. An event whose attempt failed stays first, so that no later one overtakes it. An event
that the broker refuses for good gets the state `failed`: it blocks its own key until it is tried again or dropped.
Every event is delivered at least once: one whose acknowledgement did not arrive may be stored, and is sent again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ..errors import PublishError
from ..ports import Delivery
from .entries import EventState, StoredEvent
from .journal import OutboxJournal
from .reconnect import ReconnectingPublisher
from .thread import OutboxThread

__all__ = ["POLL_SECONDS", "OrderedSender"]

POLL_SECONDS = 0.01
"""How often the outbox is read for what other processes accepted or delivered: 100 short reads a second."""

_KEYS_AT_ONCE = 16  # of a sweep: so many requests are under way at most, when a broker begins to hang


@dataclass(slots=True)
class _Turn:
    """The right to deliver events of one key.

    Attributes:
        lock: Held by the task that delivers.
        users: Tasks that hold the turn or wait for it.
        failure: The error of the last holder that failed, for those that wait.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    failure: PublishError | None = None


class OrderedSender:
    """Delivers for one process; the caller checks that this process has the delivery lock.

    Args:
        outbox: The events to deliver.
        connection: To the broker.
        poll_seconds: How often a sweep looks for events that other processes accepted.
    """

    def __init__(
        self, outbox: OutboxThread, connection: ReconnectingPublisher, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self._poll_seconds = poll_seconds
        self._turns: dict[str, _Turn] = {}
        self._sent = 0

    async def deliver(self, stored: StoredEvent, *, alone: bool) -> Delivery | None:
        """Deliver an event, after the earlier ones of its key.

        Args:
            stored: The event.
            alone: No other event waited when it was accepted.

        Returns:
            Where the broker stored it; None if another task or process has delivered it meanwhile.

        Raises:
            PublishError: It is not delivered; without `retry` if the broker refuses it for good.
        """
        key = stored.event.key
        async with self._turn(key) as (turn, was_free):
            head = stored if alone and was_free else await self._outbox.run(OutboxJournal.next_unsent, key)
            while head is not None and head.seq < stored.seq:
                try:
                    await self._send(turn, head)
                except PublishError as error:
                    raise _blocked_by(head, error) from error
                head = await self._outbox.run(OutboxJournal.next_unsent, key)
            return await self._send(turn, head) if head is not None and head.seq == stored.seq else None

    async def sweep(self) -> PublishError | None:
        """Deliver the waiting events of every key, a few keys at once; a key that fails is skipped.

        Returns:
            The error of the key that failed last; None if none did.
        """
        self._connection.failure = None
        error: PublishError | None = None
        keys, failed, workers = deque[str](), set[str](), dict[asyncio.Task[None], str]()
        try:
            while True:
                if not keys:
                    waiting = await self._outbox.run(OutboxJournal.waiting_keys)
                    keys.extend(key for key in waiting if key not in failed and key not in self._turns)
                while keys and len(workers) < _KEYS_AT_ONCE and self._connection.failure is None:
                    key = keys.popleft()
                    workers[asyncio.get_running_loop().create_task(self._deliver_key(key))] = key
                if not workers:
                    return error
                ended, _ = await asyncio.wait(workers, timeout=self._poll_seconds, return_when=asyncio.FIRST_COMPLETED)
                if not ended:
                    keys.clear()
                for worker in ended:
                    key = workers.pop(worker)
                    try:
                        worker.result()
                    except PublishError as exc:
                        error = exc
                        failed.add(key)
        finally:
            for worker in workers:
                worker.cancel()
            if workers:
                await asyncio.wait(workers)

    def take_sent_count(self) -> int:
        """Return how many events were acknowledged since the last call."""
        sent, self._sent = self._sent, 0
        return sent

    async def _deliver_key(self, key: str) -> None:
        async with self._turn(key) as (turn, _):
            while (head := await self._outbox.run(OutboxJournal.next_unsent, key)) is not None:
                if self._connection.failure is not None:
                    raise self._connection.failure  # one attempt to connect is enough for all keys
                await self._send(turn, head)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[tuple[_Turn, bool]]:
        """Hold the turn of a key; also yield whether it was free. Fail if its holder fails while this waits for it."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        was_free, failure_before = not turn.lock.locked(), turn.failure
        try:
            async with turn.lock:
                if turn.failure is not None and turn.failure is not failure_before:
                    raise turn.failure
                yield turn, was_free
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def _send(self, turn: _Turn, head: StoredEvent) -> Delivery:
        """Send the first event of a key."""
        try:
            delivery = await self._publish(head)
        except PublishError as error:
            turn.failure = _blocked_by(head, error)
            if head.state is EventState.WAITING:
                with suppress(PublishError):  # the broker's error matters more than that it cannot be recorded
                    await self._outbox.run(OutboxJournal.record_failure, head, error.message, for_good=not error.retry)
            raise
        self._outbox.journal.queue_acknowledged(head, delivery)
        self._sent += 1
        return delivery

    async def _publish(self, head: StoredEvent) -> Delivery:
        if head.state is EventState.FAILED:
            raise PublishError(f"the broker refused it for good: {head.last_error}", recovery=_recovery(head))
        return await self._connection.publish(head.event)


def _blocked_by(head: StoredEvent, error: PublishError) -> PublishError:
    return PublishError(
        f"event {head.event.event_id}, which goes before it, is not delivered: {error.message}",
        recovery=error.recovery,
    )


def _recovery(head: StoredEvent) -> str:
    return (
        "Fix the cause and run `deployment-sender events flush`, or delete the event with"
        f" `deployment-sender events drop {head.event.event_id}`."
    )
