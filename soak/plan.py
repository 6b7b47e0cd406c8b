"""What is to go wrong in a run: the same for the same seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from support.http.fault_proxy import Fault

__all__ = ["Cut", "Plan"]

_CUT_ONE_IN = 5
_RESTART_EVERY_DEPLOYMENTS = 16
_LEAST_RESTARTS = 2
_DOWN_SECONDS = (0.0, 5.0)  # a producer that is connected waits for 2 before it gives an event up
_LOST_ANSWER_ONE_IN = 4


@dataclass(frozen=True)
class Cut:
    """How the first attempt of a transfer ends: after a part of the package's size, or without the receipt if None."""

    part: float | None

    def fault(self, size_bytes: int) -> Fault:
        """Make it for a package of a size; more than that goes over the wire, so it is always cut."""
        return Fault(drop_answer=True) if self.part is None else Fault(cut_after_bytes=1 + int(self.part * size_bytes))


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        cuts: By deployment; one in five.
        restarts: How many seconds the broker is away, by the number of deployments that are done before.
    """

    seed: int
    count: int
    concurrency: int
    cuts: Mapping[int, Cut]
    restarts: Mapping[int, float]

    @classmethod
    def make(cls, *, seed: int, count: int, concurrency: int) -> Self:
        """Choose by the seed."""
        chance = random.Random(seed)
        cuts = {
            number: Cut(None if chance.randrange(_LOST_ANSWER_ONE_IN) == 0 else chance.random())
            for number in chance.sample(range(count), count // _CUT_ONE_IN)
        }
        times = max(_LEAST_RESTARTS, count // _RESTART_EVERY_DEPLOYMENTS)
        restarts = {count * (n + 1) // (times + 1): chance.uniform(*_DOWN_SECONDS) for n in range(times)}
        return cls(seed, count, concurrency, cuts, restarts)
