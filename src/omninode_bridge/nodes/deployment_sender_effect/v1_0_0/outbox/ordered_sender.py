"""Delivers events that wait in an outbox, in order per key.

Whoever delivers events of a key takes the key's turn, and sends the first that waits until the broker has acknowledged
it, then the next. What fails stays first, so that nothing overtakes it. An event whose error says that it can never
succeed is set aside: it blocks its own key until somebody has it tried again or dropped. Every event is delivered at
least once: one whose acknowledgement did not come may have been stored all the same, and is sent again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ..errors import DeploymentSenderError, ErrorCode
from ..ports import Delivery
from .entries import EventState, StoredEvent
from .journal import OutboxJournal
from .reconnect import ReconnectingPublisher
from .thread import OutboxThread

__all__ = ["LOOK_AGAIN_SECONDS", "OrderedSender", "publish_failure"]

LOOK_AGAIN_SECONDS = 0.01
"""How soon is seen what other processes accepted or delivered."""

_KEYS_AT_ONCE = 16  # of a sweep


def publish_failure(message: str, *, recovery: str | None = None, retry: bool = True) -> DeploymentSenderError:
    """Make a KAFKA_PUBLISH_FAILED."""
    return DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, message, recovery=recovery, retry=retry)


@dataclass(slots=True)
class _Turn:
    """The right to deliver events of one key, and what those who wait for it are told when its holder failed."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    takers: int = 0
    failure: DeploymentSenderError | None = None


class OrderedSender:
    """Delivers for one process; which process may is the caller's business.

    Args:
        outbox: What to deliver.
        connection: To the broker.
    """

    def __init__(self, outbox: OutboxThread, connection: ReconnectingPublisher) -> None:
        self._outbox = outbox
        self._connection = connection
        self._turns: dict[str, _Turn] = {}
        self._sent = 0

    async def deliver(self, stored: StoredEvent, *, alone: bool) -> Delivery | None:
        """Deliver an event, behind what waits of its key before it.

        Args:
            stored: The event.
            alone: Nothing else waited when it was accepted.

        Returns:
            Where the broker stored it; None where somebody else has delivered it meanwhile.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED; without `retry` where the event was set aside.
        """
        key = stored.event.key
        async with self._turn(key) as (turn, at_once):
            head = stored if alone and at_once else await self._outbox.run(OutboxJournal.head, key)
            while head is not None and head.seq < stored.seq:
                try:
                    await self._send(turn, head)
                except DeploymentSenderError as error:
                    raise _held_up(head, error) from error
                head = await self._outbox.run(OutboxJournal.head, key)
            return await self._send(turn, head) if head is not None and head.seq == stored.seq else None

    async def sweep(self) -> DeploymentSenderError | None:
        """Deliver what waits of every key, a few keys at once; a key that fails is left.

        Returns:
            Why the last one that failed did.
        """
        self._connection.failure = None
        error: DeploymentSenderError | None = None
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
                ended, _ = await asyncio.wait(workers, timeout=LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not ended:
                    keys.clear()
                for worker in ended:
                    key = workers.pop(worker)
                    try:
                        worker.result()
                    except DeploymentSenderError as exc:
                        error = exc
                        failed.add(key)
        finally:
            for worker in workers:
                worker.cancel()
            if workers:
                await asyncio.wait(workers)

    def take_sent(self) -> int:
        """Tell how many events were acknowledged since this was last asked."""
        sent, self._sent = self._sent, 0
        return sent

    async def _deliver_key(self, key: str) -> None:
        async with self._turn(key) as (turn, _):
            while (head := await self._outbox.run(OutboxJournal.head, key)) is not None:
                if self._connection.failure is not None:
                    raise self._connection.failure  # one try to connect is enough for all keys
                await self._send(turn, head)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[tuple[_Turn, bool]]:
        """Take the turn of a key; tell whether nobody had it. Fails where its holder does meanwhile."""
        turn = self._turns.setdefault(key, _Turn())
        turn.takers += 1
        at_once, failure_before = not turn.lock.locked(), turn.failure
        try:
            async with turn.lock:
                if turn.failure is not None and turn.failure is not failure_before:
                    raise turn.failure
                yield turn, at_once
        finally:
            turn.takers -= 1
            if not turn.takers:
                del self._turns[key]

    async def _send(self, turn: _Turn, head: StoredEvent) -> Delivery:
        """Send the first event of a key."""
        try:
            if head.state is EventState.FAILED:
                raise publish_failure(f"it was set aside: {head.last_error}", recovery=_recovery(head))
            delivery = await self._connection.publish(head.event)
        except DeploymentSenderError as error:
            turn.failure = _held_up(head, error)
            if head.state is EventState.WAITING:
                with suppress(DeploymentSenderError):  # what the broker said matters more than that it is not noted
                    await self._outbox.run(OutboxJournal.note_failure, head, error.message, for_good=not error.retry)
            raise
        self._outbox.note_sent(head, delivery)
        self._sent += 1
        return delivery


def _held_up(head: StoredEvent, error: DeploymentSenderError) -> DeploymentSenderError:
    return publish_failure(
        f"event {head.event.event_id}, which goes before it, is not delivered: {error.message}",
        recovery=error.recovery,
    )


def _recovery(head: StoredEvent) -> str:
    return (
        "Mend the cause and run `deployment-sender events flush`, or forget the event with"
        f" `deployment-sender events drop {head.event.event_id}`."
    )
