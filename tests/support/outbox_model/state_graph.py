"""All states that a model can reach, and all steps between them."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Graph"]

StateT = TypeVar("StateT", bound=Hashable)
StepT = TypeVar("StepT")


class Graph(Generic[StateT, StepT]):
    """Made breadth first, so that the way to each state is a shortest one.

    Args:
        start: The first state.
        steps: What can happen next in a state, and what it leads to.

    Attributes:
        states: Each state once, those that are nearer to the start first.
        steps: By a state's number, what can happen in it, and the number of the state that it leads to.
    """

    def __init__(self, start: StateT, steps: Callable[[StateT], Iterable[tuple[StepT, StateT]]]) -> None:
        self.states = [start]
        self.steps: list[list[tuple[StepT, int]]] = []
        self._before: list[tuple[int, StepT] | None] = [None]
        numbers = {start: 0}
        for number, state in enumerate(self.states):  # it grows meanwhile
            self.steps.append([])
            for step, after in steps(state):
                if after not in numbers:
                    numbers[after] = len(self.states)
                    self.states.append(after)
                    self._before.append((number, step))
                self.steps[number].append((step, numbers[after]))

    def way_to(self, number: int) -> list[StepT]:
        """Return the steps from the start to a state."""
        way = []
        while (before := self._before[number]) is not None:
            number, step = before
            way.append(step)
        return way[::-1]

    def without_a_way_to(
        self, is_goal: Callable[[StateT], bool], may_take: Callable[[StepT], bool] = lambda _: True
    ) -> list[int]:
        """Return the states from which no goal can be reached by steps that may be taken."""
        leading_to: list[list[int]] = [[] for _ in self.states]
        for number, steps in enumerate(self.steps):
            for step, after in steps:
                if may_take(step):
                    leading_to[after].append(number)
        found = [is_goal(state) for state in self.states]
        left = [number for number, is_one in enumerate(found) if is_one]
        while left:
            for number in leading_to[left.pop()]:
                if not found[number]:
                    found[number] = True
                    left.append(number)
        return [number for number, is_one in enumerate(found) if not is_one]

    def runs_over(self, chosen: Iterable[tuple[int, StepT, int]]) -> Iterator[list[tuple[int, StepT, int]]]:
        """Walk from the start over steps that were chosen, by the shortest ways between them, until all were taken.

        Args:
            chosen: Each with the numbers of the states that it leads from and to.

        Yields:
            Runs: steps of the same form, the first from the start.
        """
        left: dict[int, list[tuple[int, StepT, int]]] = {}
        for one in chosen:
            left.setdefault(one[0], []).append(one)
        while left:
            run: list[tuple[int, StepT, int]] = []
            here = 0
            while (way := self._way_from(here, left.keys())) is not None:
                run += way
                here = way[-1][2] if way else here
                run.append(left[here].pop())
                if not left[here]:
                    del left[here]
                here = run[-1][2]
            yield run

    def _way_from(self, start: int, goals: Iterable[int]) -> list[tuple[int, StepT, int]] | None:
        goals = set(goals)
        before: dict[int, tuple[int, StepT, int] | None] = {start: None}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            if here in goals:
                way = []
                while (step := before[here]) is not None:
                    way.append(step)
                    here = step[0]
                return way[::-1]
            for what, after in self.steps[here]:
                if after not in before:
                    before[after] = (here, what, after)
                    queue.append(after)
        return None
