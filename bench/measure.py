"""How contestants are compared: in turn, several rounds, by the median of the ratios within each round."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Comparison", "compare", "percentile"]


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
        rounds: Each contestant's value by its name; one that was left out of a round is not in it.
    """

    rounds: Sequence[Mapping[str, float]]

    def values(self, name: str) -> list[float]:
        """Return one contestant's values, in the order of the rounds."""
        return [one[name] for one in self.rounds if name in one]

    def median(self, name: str) -> float:
        """Return one contestant's median."""
        return median(self.values(name))

    def ratio(self, name: str, to: str) -> float:
        """Return the median of the ratios: what disturbs one round disturbs both sides of it."""
        return median(one[name] / one[to] for one in self.rounds if name in one and to in one)

    def least(self, names: Iterable[str]) -> str:
        """Return the contestant with the least median."""
        return min(names, key=self.median)


def compare(
    contestants: Mapping[str, Callable[[], float]],
    rounds: int,
    *,
    once: Collection[str] = (),
    warm_up: bool = False,
    before: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Run contestants in turn; each round begins with another one, so that none always runs after the same other.

    Args:
        contestants: Each returns its value: the less, the better.
        rounds: How often.
        once: Names of those that take part in the first round only.
        warm_up: Have a round before, which does not count, without those.
        before: Called before each turn of a round, with who is next and in which.
    """
    names = list(contestants)
    if warm_up:
        for name in names:
            if name not in once:
                contestants[name]()
    found = []
    for number in range(rounds):
        first = number % len(names)
        values = {}
        for name in names[first:] + names[:first]:
            if number == 0 or name not in once:
                before(f"round {number + 1} of {rounds}: {name}")
                values[name] = contestants[name]()
        found.append(values)
    return Comparison(found)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the least value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
