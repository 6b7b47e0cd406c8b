"""Two publishers, one outbox and a broker: every state that they can reach, whatever fails and whenever one dies.

The rules are those of a small model. The real publishers, outbox files and locks then take the model's steps, and their
state is compared after each.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.outbox_model.model import Model, Publisher, Row, State, Step, unsent
from support.outbox_model.replay import Replay
from support.outbox_model.state_graph import Graph

LOST = "an accepted event is neither delivered nor kept"
ORDER = "a package's first deliveries are not in the order of acceptance"
BLOCKED = "an event waits for one of another package that is refused for good"
NO_END = "not all events can be delivered any more"


def test_whatever_happens_every_promise_is_kept() -> None:
    """Two publishers have two events each, of two packages; the broker refuses one for good."""
    model = Model("a1 b1", "a2! b2")
    graph = Graph(model.start, model.steps)

    assert {} == broken(model, graph)
    assert 50_000 < len(graph.states)
    assert {step.does for steps in graph.steps for step, _ in steps} == {
        *(
            "accept_to_deliver",
            "next_unsent",
            "event_status",
            "record_failure",
            "acquire_delivery_lock",
            "release_delivery_lock",
            "retry_failed",
            "waiting_keys",
        ),
        *("store", "acknowledge", "fail", "refuse", "give up", "crash", "drop"),
    }


def test_the_order_does_not_depend_on_the_lock() -> None:
    """If both deliver side by side, no event is lost and none overtakes another."""
    model = NoLock("a1 a2!", "a3")
    graph = Graph(model.start, model.steps)

    assert {} == broken(model, graph)
    assert 10_000 < len(graph.states)


class NoLock(Model):
    """Every publisher may deliver."""

    def may_acquire(self, others: list[Publisher]) -> bool:
        return True


class Overtakes(Model):
    """Sends an event while an earlier one is not acknowledged."""

    def next_unsent(self, rows: tuple[Row, ...], me: Publisher) -> Row | None:
        own = [row for row in unsent(rows) if row.event == me.target]
        return own[0] if own else super().next_unsent(rows, me)


class IgnoresOthers(Model):
    """Treats every event as the only one."""

    def alone(self, rows: tuple[Row, ...]) -> bool:
        return True


class ForgetsOnTimeout(Model):
    """Treats an event without a response as delivered."""

    def failed(self, me: Publisher) -> Publisher:
        return me.idle()._replace(acknowledged=(*me.acknowledged, me.event))


class SkipsRefused(Model):
    """Continues after an event that failed."""

    def next_unsent(self, rows: tuple[Row, ...], me: Publisher) -> Row | None:
        return super().next_unsent(tuple(row for row in rows if row.state != "failed"), me)


class OneQueue(Model):
    """Keeps all packages in one order."""

    def next_unsent(self, rows: tuple[Row, ...], me: Publisher) -> Row | None:
        return next(iter(unsent(rows)), None)

    def waiting_keys(self, rows: tuple[Row, ...]) -> list[str]:
        return [row.event[0] for row in unsent(rows)[:1] if row.state == "waiting"]


class SweepsNothing(Model):
    """Never delivers what earlier attempts left."""

    def waiting_keys(self, rows: tuple[Row, ...]) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Model, set()),
        (Overtakes, {ORDER}),
        (IgnoresOthers, {ORDER}),
        (ForgetsOnTimeout, {LOST, ORDER, NO_END}),
        (SkipsRefused, {ORDER}),
        (OneQueue, {BLOCKED}),
        (SweepsNothing, {BLOCKED, NO_END}),
    ],
)
def test_a_broken_rule_is_detected(rules: type[Model], expected: set[str]) -> None:
    """By the promise that depends on it."""
    model = rules("a1! b1", "a2")

    assert expected == broken(model, Graph(model.start, model.steps)).keys()


@pytest.fixture
async def replay(tmp_path: Path) -> AsyncIterator[Replay]:
    """The real publishers; they read the outbox again when the run says so, not after some time."""
    replay = Replay(tmp_path / "outbox.sqlite3")
    yield replay
    await replay.close()


@pytest.mark.parametrize(("plans", "every"), [("a1 | a2", 5), ("a1! | a2", 5), ("a1! b1 | a2", 250)])
async def test_the_real_publishers_do_as_the_model_does(replay: Replay, plans: str, every: int) -> None:
    """They take steps from all over the model, by the shortest ways between them."""
    model = Model(*plans.split("|"))
    graph = Graph(model.start, model.steps)
    all_steps = [(number, step, after) for number, steps in enumerate(graph.steps) for step, after in steps]
    taken: list[str] = []
    for run in graph.runs_over(all_steps[::every]):
        await replay.begin(2)
        for before, step, after in run:
            await replay.take(step, graph.states[before], graph.states[after])
            assert visible(graph.states[after]) == await replay.state()
            taken.append(step.does)

    assert 1_000 < len(taken)
    assert {step.does for _, step, _ in all_steps} == set(taken)


async def test_the_real_publishers_differ_from_a_broken_model(replay: Replay) -> None:
    """So the comparison can fail."""
    model = ForgetsOnTimeout("a1")
    await replay.begin(1)
    states = [model.start]
    for does in ("accept_to_deliver", "fail"):
        states += [after for step, after in model.steps(states[-1]) if step.does == does]
    await replay.take(Step(0, "accept_to_deliver", "a1"), *states[:2])

    with pytest.raises(AssertionError, match="record_failure a1"):
        await replay.take(Step(0, "fail"), *states[1:], hang_seconds=0.1)


def visible(state: State) -> tuple[object, ...]:
    """Return what a replay shows of the same state."""
    return (
        tuple((row.event, row.state) for row in state.rows if row.state != "dropped"),
        tuple((publisher.has_lock, publisher.acknowledged) for publisher in state.publishers),
    )


def broken(model: Model, graph: Graph[State, Step]) -> dict[str, list[Step]]:
    """Return each promise that is not kept, with a shortest run that shows it."""

    def is_end(state: State) -> bool:
        return (
            all_accepted(model, state)
            and not unsent(state.rows)
            and all(publisher == Publisher() for publisher in state.publishers)
            and {row.event for row in state.rows if row.state == "sent"} == set(state.log)
        )

    def has_all_that_can_be(state: State) -> bool:
        return all_accepted(model, state) and set(deliverable(state.rows)) <= set(state.log)

    found = {
        LOST: [number for number, state in enumerate(graph.states) if not nothing_is_lost(state)],
        ORDER: [number for number, state in enumerate(graph.states) if not is_in_order(state)],
        BLOCKED: graph.without_a_way_to(has_all_that_can_be, lambda step: step.does != "drop"),
        NO_END: graph.without_a_way_to(is_end),
    }
    return {promise: graph.way_to(numbers[0]) for promise, numbers in found.items() if numbers}


def all_accepted(model: Model, state: State) -> bool:
    """Whether every event of the plans is accepted."""
    return {event for plan in model.plans for event in plan} == {row.event for row in state.rows}


def nothing_is_lost(state: State) -> bool:
    """Whether every event that the broker has not stored waits; only one that it refuses may fail or be dropped."""
    return all(
        row.state in {"waiting", "failed", "dropped"} for row in state.rows if row.event not in state.log
    ) and all(row.event.endswith("!") for row in state.rows if row.state in {"failed", "dropped"})


def is_in_order(state: State) -> bool:
    """Whether the broker has the first events of each package, without a gap, and none after one that it refuses."""
    accepted = deliverable(state.rows)
    for package in {event[0] for event in state.log}:
        stored = [event for event in state.log if event[0] == package]
        if stored != [event for event in accepted if event[0] == package][: len(stored)]:
            return False
    return True


def deliverable(rows: tuple[Row, ...]) -> list[str]:
    """Return the events that the broker accepts and that no refused one precedes, in the order of acceptance."""
    found, blocked = [], set()
    for event, state in rows:
        if event.endswith("!"):
            blocked |= {event[0]} if state != "dropped" else set()
        elif event[0] not in blocked:
            found.append(event)
    return found
