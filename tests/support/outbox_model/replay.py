"""Makes real publishers, on a real outbox file, take the steps of a run of the model, and compares after each.

Each publisher is an `OutboxPublisher` with a file descriptor, a lock and a thread of its own: as good as a process. It
stops before every operation of its outbox and at every send, until the run continues it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import StoredEvent
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import Event
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.publisher import OutboxPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.outbox_model.model import SENDING, Publisher, State, Step

__all__ = ["Replay"]

_HANG_SECONDS = 60.0  # bounds the wait for a publisher that never reaches its place
_FREE = {"counts"}  # a flush calls it at its end; the model does not have it


class Replay:
    """One outbox with its publishers and their broker; used for one run after the other.

    Args:
        path: The outbox's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._observer = OutboxThread(path)
        self._processes: list[_Process] = []
        self._stored: set[str] = set()

    async def begin(self, publishers: int) -> None:
        """Begin a caller's work."""
        for process in self._processes:
            await process.die()
        await self._observer.run(_empty)
        self._processes = [_Process(self._path) for _ in range(publishers)]
        self._stored = set()

    async def close(self) -> None:
        """Close everything."""
        await self.begin(0)
        await self._observer.close()

    async def take(self, step: Step, before: State, after: State, *, hang_seconds: float = _HANG_SECONDS) -> None:
        """Take a step; return when every publisher is where the model has it.

        Raises:
            AssertionError: One is elsewhere; the message says where.
        """
        if step.does == "store":
            assert any(step.event in process.sent for process in self._processes)
            self._stored.add(step.event)
        elif step.does == "drop":
            assert await self._observer.run(OutboxJournal.drop, step.event)
        else:
            assert step.who is not None
            await self._take_as(step.who, step, before.publishers[step.who])
        for process, publisher in zip(self._processes, after.publishers, strict=True):
            await process.comes_to(_place(publisher), hang_seconds)

    async def _take_as(self, who: int, step: Step, publisher: Publisher) -> None:
        process = self._processes[who]
        match step.does:
            case "crash":
                await process.die()
                self._processes[who] = _Process(self._path, process.sent)
            case "give up":
                await process.give_up()
            case "release_delivery_lock":
                await process.outbox.release_now()
            case "accept_to_deliver":
                process.begin(process.publisher.submit(_event(step.event), 3600))
                await process.goes_on_from("accept_to_deliver")
            case "retry_failed":
                process.begin(process.publisher.flush(3600))
                await process.goes_on_from("retry_failed")
            case "acknowledge":
                assert publisher.event in self._stored
                await process.goes_on_from(_place(publisher))
            case "fail":
                await process.goes_on_from(_place(publisher), _refusal(for_good=False))
            case "refuse":
                await process.goes_on_from(_place(publisher), _refusal(for_good=True))
            case _:
                await process.goes_on_from(_place(publisher))

    async def state(self) -> tuple[object, ...]:
        """Return the rows of the outbox, and for each publisher its lock and the events that it has to mark."""
        rows = await self._observer.run(_rows)
        names = {seq: event for seq, event, _ in rows}
        return (
            tuple((event, state) for _, event, state in rows),
            tuple((process.has_lock, tuple(names[seq] for seq in process.acknowledged)) for process in self._processes),
        )


class _Process:
    """A publisher, and the place where it stands.

    Attributes:
        sent: The events that it, and those before it in its place, have sent so far.
    """

    def __init__(self, path: Path, sent: set[str] | None = None) -> None:
        self.sent = sent or set()
        self.outbox = _SlowOutbox(path, self)
        # A sweep reads the outbox again when the run says so, not when some time has passed.
        self.publisher = OutboxPublisher(self.outbox, self._open, poll_seconds=0.0, sweep_poll_seconds=3600.0)
        self._task: asyncio.Task[Any] | None = None
        self._stands: dict[str, asyncio.Future[None]] = {}
        self._moved = asyncio.Event()

    @property
    def has_lock(self) -> bool:
        """Whether it has the delivery lock."""
        return self.outbox.journal._lock.held

    @property
    def acknowledged(self) -> list[int]:
        """The events that it still has to mark as sent."""
        return [stored.seq for stored, *_ in self.outbox.journal._acknowledged]

    def begin(self, work: Any) -> None:
        """Begin what a caller asks for."""
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._ended)

    async def stop_at(self, place: str) -> None:
        """Stand here until the run continues it."""
        self._stands[place] = asyncio.get_running_loop().create_future()
        self._moved.set()
        try:
            await self._stands[place]
        finally:
            self._stands.pop(place, None)

    async def goes_on_from(self, place: str, error: Exception | None = None) -> None:
        """Continue it, once it stands here."""
        await self.comes_to(place)
        stands = self._stands.pop(place)
        if error is None:
            stands.set_result(None)
        else:
            stands.set_exception(error)

    async def comes_to(self, place: str, hang_seconds: float = _HANG_SECONDS) -> None:
        """Wait until it stands here; if the place is empty, until nothing is under way."""
        try:
            async with asyncio.timeout(hang_seconds):
                while not (place in self._stands if place else self._is_idle()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"should be at {place!r}, and is at {sorted(self._stands)}") from None

    def _ended(self, _: object) -> None:
        self._moved.set()
        if self.publisher._sweeping is not None:
            self.publisher._sweeping.add_done_callback(self._ended)

    def _is_idle(self) -> bool:
        return (self._task is None or self._task.done()) and self.publisher._sweeping is None

    async def give_up(self) -> None:
        """Cancel its caller."""
        for task in (self._task, self.publisher._sweeping):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def die(self) -> None:
        """End as if by SIGKILL: its memory is lost, its descriptors are closed."""
        await self.give_up()
        await self.outbox.die()
        await self.publisher.close()

    async def _open(self) -> "_Publisher":
        return _Publisher(self)


class _SlowOutbox(OutboxThread):
    """Stops before every operation, and keeps the lock until the run releases it."""

    def __init__(self, path: Path, process: _Process) -> None:
        super().__init__(path)
        self._process = process

    async def run(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        about = args[0] if args else None
        match about:
            case str():
                await self._process.stop_at(f"{operation.__name__} {about}")
            case StoredEvent() if operation.__name__ != OutboxJournal.event_status.__name__:  # the model knows of which
                await self._process.stop_at(f"{operation.__name__} {about.event.event_id}")
            case _ if operation.__name__ not in _FREE:
                await self._process.stop_at(operation.__name__)
        return await super().run(operation, *args, **kwargs)

    def start(self, operation: Callable[[OutboxJournal], None]) -> None:
        """Do nothing: the run decides when the lock is released."""

    async def release_now(self) -> None:
        """Release the lock."""
        await super().run(OutboxJournal.release_delivery_lock)

    async def die(self) -> None:
        """Forget what is not marked yet, then close."""
        await super().run(_forget)
        await self.close()


class _Publisher:
    """The broker, as one process uses it."""

    def __init__(self, process: _Process) -> None:
        self._process = process

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        event = value.decode()
        self._process.sent.add(event)
        await self._process.stop_at(f"{SENDING} {event}")
        return Delivery(0, 0)

    async def close(self) -> None:
        """Leave."""


def _place(publisher: Publisher) -> str:
    return f"{publisher.does} {publisher.event}".strip()


def _event(word: str) -> Event:
    return Event(word, "BUILD_STARTED", "topic", word[0], word.encode())


def _refusal(*, for_good: bool) -> PublishError:
    return PublishError("the broker did not accept it", retry=not for_good)


def _empty(file: OutboxJournal) -> None:
    file._db.execute("DELETE FROM events")


def _rows(file: OutboxJournal) -> list[tuple[int, str, str]]:
    return list(file._db.execute("SELECT seq, event_id, state FROM events ORDER BY seq"))


def _forget(file: OutboxJournal) -> None:
    file._acknowledged.clear()
