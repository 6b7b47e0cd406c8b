"""Trying again: how often, and with which pauses."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses, retrying

BUSY = DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "busy", retry=True)
REFUSED = DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "refused", retry=False)
ASKED = DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "later", retry=True, retry_after=7)


class Work:
    """Fails as it is told to, and then succeeds; remembers the pauses.

    Attributes:
        attempts: How often it was tried.
        slept: The pauses that were made.
        told: The pauses that were told, with what made them necessary.
    """

    def __init__(self, *failures: Exception) -> None:
        self.attempts = 0
        self.slept: list[float] = []
        self.told: list[tuple[str, float]] = []
        self._failures = list(failures)

    async def done(self, pauses: Pauses, attempts: int | None = None) -> str:
        return await retrying(self._try, self._tell, pauses=pauses, attempts=attempts, sleep=self._sleep)

    async def _try(self) -> str:
        self.attempts += 1
        if self._failures:
            raise self._failures.pop(0)
        return "done"

    def _tell(self, error: DeploymentSenderError, seconds: float) -> None:
        self.told.append((error.message, seconds))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_what_succeeds_is_done_once() -> None:
    """Without a pause."""
    work = Work()

    assert ("done", 1, []) == (await work.done(Pauses()), work.attempts, work.slept)


async def test_pauses_grow_up_to_the_longest() -> None:
    """Each between half of it and all of it; the waiting is told before it begins."""
    work = Work(*[BUSY] * 8)
    await work.done(Pauses(first_seconds=1, growth=2, longest_seconds=30))

    assert [("busy", seconds) for seconds in work.slept] == work.told
    for longest, seconds in zip([1, 2, 4, 8, 16, 30, 30, 30], work.slept, strict=True):
        assert longest / 2 <= seconds <= longest


def test_pauses_are_spread() -> None:
    """So that many senders do not come back together."""
    assert 50 < len({Pauses().after(3) for _ in range(100)})


def test_pauses_do_not_overflow() -> None:
    """However often it has failed."""
    assert 15 <= Pauses().after(1_000_000) <= 30


async def test_what_the_other_side_asks_for_is_waited() -> None:
    """And a bit more, spread."""
    work = Work(ASKED)
    await work.done(Pauses(spread_seconds=1))

    assert 7 <= work.slept[0] <= 8


async def test_attempts_may_be_limited() -> None:
    """The last failure is raised, without a pause behind it."""
    work = Work(*[BUSY] * 5)
    with pytest.raises(DeploymentSenderError, match="busy"):
        await work.done(Pauses(), attempts=3)

    assert (3, 2) == (work.attempts, len(work.slept))


@pytest.mark.parametrize("failure", [REFUSED, RuntimeError("a bug")])
async def test_what_would_fail_again_is_raised(failure: Exception) -> None:
    """At once."""
    work = Work(failure)
    with pytest.raises(type(failure)):
        await work.done(Pauses())

    assert 1 == work.attempts
