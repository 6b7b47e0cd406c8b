"""Retries: how often, and with which pauses."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError, TransferError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses, retrying

BUSY = TransferError("busy", retry=True)
REFUSED = TransferError("refused", retry=False)
LATER = TransferError("later", retry=True, retry_after=7)


class Work:
    """Fails with the given errors, then succeeds; records the pauses.

    Attributes:
        attempts: How often it was tried.
        slept: The pauses that were made.
        reported: The pauses that were reported, with the errors before them.
    """

    def __init__(self, *failures: Exception) -> None:
        self.attempts = 0
        self.slept: list[float] = []
        self.reported: list[tuple[str, float]] = []
        self._failures = list(failures)

    async def done(self, pauses: Pauses, attempts: int | None = None) -> str:
        return await retrying(self._try, self._on_wait, pauses=pauses, attempts=attempts, sleep=self._sleep)

    async def _try(self) -> str:
        self.attempts += 1
        if self._failures:
            raise self._failures.pop(0)
        return "done"

    def _on_wait(self, error: OperationError, seconds: float) -> None:
        self.reported.append((error.message, seconds))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_success_is_not_repeated() -> None:
    """It returns without a pause."""
    work = Work()

    assert ("done", 1, []) == (await work.done(Pauses()), work.attempts, work.slept)


async def test_pauses_grow_up_to_the_longest() -> None:
    """Each is between half of it and all of it; the wait is reported before it begins."""
    work = Work(*[BUSY] * 8)
    await work.done(Pauses(first_seconds=1, growth=2, longest_seconds=30))

    assert [("busy", seconds) for seconds in work.slept] == work.reported
    for longest, seconds in zip([1, 2, 4, 8, 16, 30, 30, 30], work.slept, strict=True):
        assert longest / 2 <= seconds <= longest


def test_pauses_are_spread() -> None:
    """Many senders do not return at the same moment."""
    assert 50 < len({Pauses().after(3) for _ in range(100)})


def test_pauses_do_not_overflow() -> None:
    """The pause stays finite however often the call has failed."""
    assert 15 <= Pauses().after(1_000_000) <= 30


async def test_the_pause_that_the_other_side_requests_is_made() -> None:
    """A random part is added to it."""
    work = Work(LATER)
    await work.done(Pauses(spread_seconds=1))

    assert 7 <= work.slept[0] <= 8


async def test_attempts_may_be_limited() -> None:
    """The last error is raised, without a pause after it."""
    work = Work(*[BUSY] * 5)
    with pytest.raises(TransferError, match="busy"):
        await work.done(Pauses(), attempts=3)

    assert (3, 2) == (work.attempts, len(work.slept))


@pytest.mark.parametrize("failure", [REFUSED, RuntimeError("a bug")])
async def test_an_error_that_would_repeat_is_raised_at_once(failure: Exception) -> None:
    """There is one attempt only."""
    work = Work(failure)
    with pytest.raises(type(failure)):
        await work.done(Pauses())

    assert 1 == work.attempts
