"""A model of two publishers that share an outbox, small enough to check every state.

It has the rules of `outbox/` and no others: an operation of the outbox is one step, and so is each thing that the
broker or the environment may do. At any step a publisher may die (another one starts in its place), its caller may give
up, and a send may fail, whether the broker has stored the event, stores it later, or never does.

An event is a word: its first letter is its package, and the broker refuses one with `!` for good. A publisher does one
thing after the other: a sweep takes packages in turn, as they share nothing but the file.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["SENDING", "Model", "Publisher", "Row", "State", "Step", "unsent"]

SENDING = "publish"
"""What a publisher does while it waits for the broker."""


class Step(NamedTuple):
    """A process, and an operation of the outbox by its name, or an act of the broker or the environment."""

    who: int | None
    does: str
    event: str = ""


class Row(NamedTuple):
    """An accepted event: `waiting`, `sent`, `failed` or `dropped`."""

    event: str
    state: str


class Publisher(NamedTuple):
    """The memory of one process.

    Attributes:
        does: Its next operation of the outbox, or `publish`; empty if nothing is under way.
        event: The event that it sends, or whose failure it records; the package while it reads the next event of one.
        target: The event that its caller waits for; empty in a sweep.
        alone: Every other event was sent when the target was accepted.
        for_good: The failure that it records is final.
        failed: Packages that a sweep skips.
        flushes: A caller waits for the sweep.
        has_lock: It has the delivery lock.
        acknowledged: Events that were acknowledged and are not marked as sent in the outbox yet.
    """

    does: str = ""
    event: str = ""
    target: str = ""
    alone: bool = False
    for_good: bool = False
    failed: str = ""
    flushes: bool = False
    has_lock: bool = False
    acknowledged: tuple[str, ...] = ()

    def at(self, does: str, event: str = "", *, for_good: bool = False) -> "Publisher":
        """Return the same task at its next step."""
        return self._replace(does=does, event=event, for_good=for_good)

    def idle(self) -> "Publisher":
        """Return the process without a task."""
        return Publisher(has_lock=self.has_lock, acknowledged=self.acknowledged)


class State(NamedTuple):
    """The state of everything.

    Attributes:
        rows: The outbox, in the order of acceptance.
        log: The events that the broker has stored, by their first deliveries; later ones of an event change nothing.
        wire: Events that were sent and are not stored: the broker may store them yet.
        publishers: The processes.
    """

    rows: tuple[Row, ...]
    log: tuple[str, ...]
    wire: frozenset[str]
    publishers: tuple[Publisher, ...]


def unsent(rows: tuple[Row, ...]) -> list[Row]:
    """Return the events that wait or failed."""
    return [row for row in rows if row.state in {"waiting", "failed"}]


class Model:
    """The rules.

    Args:
        plans: The events of each publisher in their order, as words.
    """

    def __init__(self, *plans: str) -> None:
        self.plans = tuple(tuple(plan.split()) for plan in plans)
        self.start = State((), (), frozenset(), (Publisher(),) * len(plans))

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        """Yield every step that can happen next, and the state after it."""
        for event in sorted(state.wire):
            yield Step(None, "store", event), state._replace(log=(*state.log, event), wire=state.wire - {event})
        for row in state.rows:
            if row.state == "failed":
                yield Step(None, "drop", row.event), state._replace(rows=_with(state.rows, row.event, "dropped"))
        for who, publisher in enumerate(state.publishers):
            for step, after in self._steps_of(state, who, publisher):
                if after != state:
                    yield step, after

    def _steps_of(self, state: State, who: int, me: Publisher) -> Iterator[tuple[Step, State]]:
        yield Step(who, "crash"), self._put(state, who, self.crashed(me))
        if me.does:
            yield Step(who, "give up"), self._put(state, who, me.idle())
        if me.does == SENDING:
            yield from self._broker_steps(state, who, me)
        elif me.does:
            yield Step(who, me.does), self._operate(state, who, me)
        else:
            rested = self._put(self._committed(state, who), who, Publisher())
            yield Step(who, "release_delivery_lock"), rested
            if event := next((event for event in self.plans[who] if all(event != row.event for row in state.rows)), ""):
                yield Step(who, "accept_to_deliver", event), self._accept(state, who, event)
            if unsent(state.rows):
                yield Step(who, "retry_failed"), self._retry_failed(state, who)

    # The responses of the broker.

    def _broker_steps(self, state: State, who: int, me: Publisher) -> Iterator[tuple[Step, State]]:
        if me.event in state.log:
            yield Step(who, "acknowledge"), self._acknowledged(state, who, me)
        if me.event.endswith("!"):
            yield Step(who, "refuse"), self._put(state, who, me.at("record_failure", me.event, for_good=True))
        yield Step(who, "fail"), self._put(state, who, self.failed(me))

    def _acknowledged(self, state: State, who: int, me: Publisher) -> State:
        after = me._replace(acknowledged=(*me.acknowledged, me.event)) if me.event not in me.acknowledged else me
        if me.event != me.target:
            return self._put(state, who, after.at("next_unsent", me.event[0]))
        return self._put(state, who, _delivered(after))

    def _send(self, state: State, who: int, me: Publisher, event: str) -> State:
        wire = state.wire if event in state.log or event.endswith("!") else state.wire | {event}
        return self._put(state._replace(wire=wire), who, me.at(SENDING, event))

    # The operations of the outbox.

    def _accept(self, state: State, who: int, event: str) -> State:
        state = self._with_lock(self._committed(state, who), who)
        alone = self.alone(state.rows)
        me = state.publishers[who]._replace(target=event, alone=alone)
        state = state._replace(rows=(*state.rows, Row(event, "waiting")))
        if me.has_lock and alone:
            return self._send(state, who, me, event)
        return self._put(state, who, me.at("next_unsent", event[0]) if me.has_lock else me.at("event_status"))

    def _retry_failed(self, state: State, who: int) -> State:
        state = self._committed(state, who)
        rows = tuple(row._replace(state="waiting") if row.state == "failed" else row for row in state.rows)
        return self._put(
            state._replace(rows=rows), who, state.publishers[who]._replace(does="acquire_delivery_lock", flushes=True)
        )

    def _operate(self, state: State, who: int, me: Publisher) -> State:
        operation = {
            "acquire_delivery_lock": self._acquire,
            "event_status": self._status,
            "next_unsent": self._next_unsent,
            "waiting_keys": self._waiting_keys,
            "record_failure": self._record_failure,
        }[me.does]
        return operation(self._committed(state, who) if me.does != "acquire_delivery_lock" else state, who)

    def _acquire(self, state: State, who: int) -> State:
        state = self._with_lock(state, who)
        me = state.publishers[who]
        if me.has_lock:
            return self._put(state, who, me.at("waiting_keys"))
        return state if me.flushes else self._put(state, who, me.idle())

    def _status(self, state: State, who: int) -> State:
        state = self._with_lock(state, who)
        me = state.publishers[who]
        (found,) = [row.state for row in state.rows if row.event == me.target]
        if found == "sent":
            return self._put(state, who, _delivered(me))
        if found in {"failed", "dropped"}:
            return self._put(state, who, me.idle())
        return self._put(state, who, me.at("next_unsent", me.target[0])) if me.has_lock else state

    def _next_unsent(self, state: State, who: int) -> State:
        me = state.publishers[who]
        head = self.next_unsent(state.rows, me)
        if head is None or (me.target and _is_behind(state.rows, head.event, me.target)):
            return self._put(state, who, me.at("event_status" if me.target else "waiting_keys"))
        if head.state == "failed":
            return self._put(state, who, _blocked_by(me, head.event))
        return self._send(state, who, me, head.event)

    def _waiting_keys(self, state: State, who: int) -> State:
        me = state.publishers[who]
        keys = [key for key in self.waiting_keys(state.rows) if key not in me.failed]
        return self._put(state, who, me.at("next_unsent", keys[0]) if keys else me.idle())

    def _record_failure(self, state: State, who: int) -> State:
        me = state.publishers[who]
        (found,) = [row.state for row in state.rows if row.event == me.event]
        if me.for_good and found == "waiting":
            state = state._replace(rows=_with(state.rows, me.event, "failed"))
        return self._put(state, who, _blocked_by(me, me.event))

    def _with_lock(self, state: State, who: int) -> State:
        others = [publisher for number, publisher in enumerate(state.publishers) if number != who]
        me = state.publishers[who]
        return self._put(state, who, me._replace(has_lock=me.has_lock or self.may_acquire(others)))

    def _committed(self, state: State, who: int) -> State:
        rows, me = state.rows, state.publishers[who]
        for event in me.acknowledged:
            rows = _with(rows, event, "sent")
        return self._put(state._replace(rows=rows), who, me._replace(acknowledged=()))

    @staticmethod
    def _put(state: State, who: int, publisher: Publisher) -> State:
        before, after = state.publishers[:who], state.publishers[who + 1 :]
        return state._replace(publishers=(*before, publisher, *after))

    # The rules that a test may break, to see that it is found out.

    def may_acquire(self, others: list[Publisher]) -> bool:
        """Whether the lock is free."""
        return not any(other.has_lock for other in others)

    def alone(self, rows: tuple[Row, ...]) -> bool:
        """Whether a new event need not wait for earlier ones."""
        return not unsent(rows)

    def next_unsent(self, rows: tuple[Row, ...], me: Publisher) -> Row | None:
        """Return the next event to send of a package."""
        return next((row for row in unsent(rows) if row.event[0] == me.event), None)

    def waiting_keys(self, rows: tuple[Row, ...]) -> list[str]:
        """Return the packages whose first unsent event waits, longest waiting first."""
        first = {row.event[0]: row.state for row in reversed(unsent(rows))}
        return [key for key in dict.fromkeys(row.event[0] for row in unsent(rows)) if first[key] == "waiting"]

    def failed(self, me: Publisher) -> Publisher:
        """Return a publisher after a send that failed or got no response in time."""
        return me.at("record_failure", me.event)

    def crashed(self, me: Publisher) -> Publisher:
        """Return the publisher in the place of a process that died."""
        return Publisher()


def _with(rows: tuple[Row, ...], event: str, state: str) -> tuple[Row, ...]:
    return tuple(Row(event, state) if row.event == event and row.state != "dropped" else row for row in rows)


def _is_behind(rows: tuple[Row, ...], event: str, other: str) -> bool:
    events = [row.event for row in rows]
    return events.index(event) > events.index(other)


def _delivered(me: Publisher) -> Publisher:
    """Return a publisher whose target is delivered: waiting events of other packages follow, if there are any."""
    return me.idle() if me.alone else me.idle()._replace(does="acquire_delivery_lock")


def _blocked_by(me: Publisher, event: str) -> Publisher:
    """Return a publisher that skips this package: its caller gets the error, and a sweep continues with the others."""
    if me.target:
        return me.idle()
    return me._replace(failed="".join(sorted({*me.failed, event[0]}))).at("waiting_keys")
