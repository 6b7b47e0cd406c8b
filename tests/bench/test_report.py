"""The benchmark's arithmetic, and what it prints for people and programs."""

import json
from collections.abc import Callable

import pytest

from bench.measure import Comparison, compare, percentile
from bench.report import Entry, Figure, Table, document, entries, lines

ROUNDS = Comparison([{"ours": 1.0, "theirs": 2.0, "slow": 9.0}, {"ours": 4.0, "theirs": 4.0}, {"ours": 3, "theirs": 9}])


def test_a_ratio_is_the_median_of_each_rounds_own() -> None:
    """1/2, 4/4 and 3/9; one that ran once has a ratio, too."""
    assert (0.5, 9.0) == (ROUNDS.ratio("ours", "theirs"), ROUNDS.ratio("slow", "ours"))
    assert (3, 4, 9) == tuple(ROUNDS.median(name) for name in ("ours", "theirs", "slow"))
    assert "theirs" == ROUNDS.least(["slow", "theirs"])


def test_contestants_run_in_turn() -> None:
    """Each begins a round; the slow one is in the first only, and not in the warm-up."""
    ran: list[str] = []

    def contestant(name: str) -> Callable[[], float]:
        def work() -> float:
            ran.append(name)
            return len(ran)

        return work

    printed: list[str] = []
    found = compare({name: contestant(name) for name in "abc"}, 3, once={"c"}, warm_up=True, before=printed.append)

    assert "ab abc ba ab".replace(" ", "") == "".join(ran)
    assert ["round 1 of 3: a", "round 1 of 3: b", "round 1 of 3: c", "round 2 of 3: b"] == printed[:4]
    assert [{"a": 3, "b": 4, "c": 5}, {"b": 6, "a": 7}, {"a": 8, "b": 9}] == list(found.rounds)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    """By the nearest rank."""
    assert value == percentile(range(100, 0, -1), percent)


@pytest.mark.parametrize(
    ("bounds", "met"),
    [
        ({}, None),
        ({"at_most": 2}, True),
        ({"at_most": 1.9}, False),
        ({"at_least": 2}, True),
        ({"at_least": 2.1}, False),
        ({"at_least": 1, "at_most": 1.5}, False),
    ],
)
def test_a_figure_meets_its_bounds_or_not(bounds: dict[str, float], met: bool | None) -> None:
    """A bound itself is within."""
    assert met == Figure("figure", 2.0, "x", **bounds).met


def test_ours_come_first_and_are_compared_with_the_floor_and_the_best() -> None:
    """The best is the fastest alternative; what is ours, and the floor, are none."""
    rounds = [{"floor": 1.0, "good": 2.0, "bad": 4.0, "ours": 1.5}]

    found = entries(Comparison(rounds), ours=["ours"], floor="floor", details={"bad": "9 MB"})

    assert [
        Entry("ours", 1.5, "s", of_floor=1.5, of_best=0.75),
        Entry("floor", 1.0, "s", of_floor=1.0, of_best=0.5),
        Entry("good", 2.0, "s", of_floor=2.0, of_best=1.0),
        Entry("bad", 4.0, "s", of_floor=4.0, of_best=2.0, detail="9 MB"),
    ] == found


TABLE = Table(
    "subject",
    "what it is",
    entries=[Entry("ours", 1.5, "s", of_floor=1.25, of_best=None, detail="12 MB")],
    figures=[Figure("too slow", 1.25, "x", at_most=1.15), Figure("large enough", 1200, "MB/s", at_least=300)],
    notes=["a note"],
    wrong=["it does not load"],
)


def test_a_person_sees_each_bound_and_whether_it_is_met() -> None:
    """And everything that is wrong."""
    assert [
        "subject: what it is",
        "median of floor of best",
        "ours 1.5 s 1.25 x 12 MB",
        "too slow 1.25 x at most 1.15 x: NOT MET",
        "large enough 1,200 MB/s at least 300 MB/s: met",
        "a note",
        "WRONG: it does not load",
    ] == [" ".join(line.split()) for line in lines(TABLE)]


def test_a_program_gets_the_same() -> None:
    """As a JSON document."""
    printed = json.loads(json.dumps(document({"date": "today"}, [TABLE])))

    assert "today" == printed["date"]
    (table,) = printed["tables"]
    assert ["it does not load"] == table["wrong"]
    assert [False, True] == [figure["met"] for figure in table["figures"]]
