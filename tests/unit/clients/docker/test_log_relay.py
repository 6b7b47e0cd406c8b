"""Lines from a thread to the loop."""

import asyncio
import threading

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.log_relay import LogRelay


def _put(relay: LogRelay, *lines: str) -> None:
    for line in lines:
        relay.put(line)


def _fails(line: str) -> None:
    raise KeyError(line)


async def test_every_line_is_passed_on_in_order_on_the_loop() -> None:
    """The last ones are passed on after the thread has ended."""
    passed: list[tuple[str, bool]] = []
    loop_thread = threading.current_thread()
    relay = LogRelay(lambda line: passed.append((line, threading.current_thread() is loop_thread)), Call())

    await asyncio.to_thread(_put, relay, *map(str, range(2000)))
    relay.finish()

    assert [(str(number), True) for number in range(2000)] == passed


async def test_the_loop_goes_on_while_a_build_chatters() -> None:
    """A fast thread waits for a slow callback; other tasks run after a limited number of lines."""
    passed: list[str] = []
    relay = LogRelay(passed.append, Call())
    worker = asyncio.ensure_future(asyncio.to_thread(_put, relay, *["line"] * 5000))
    most = 0
    while not worker.done():
        before = len(passed)
        await asyncio.sleep(0)
        most = max(most, len(passed) - before)
    relay.finish()

    assert 5000 == len(passed)
    assert 2 * 64 >= most


async def test_an_error_of_the_callback_is_raised_by_finish_and_aborts_the_call() -> None:
    """It keeps its type; no further line is passed on."""
    passed: list[str] = []

    def on_line(line: str) -> None:
        passed.append(line)
        raise KeyError(line)

    relay = LogRelay(on_line, call := Call())

    with pytest.raises(AbortedError):
        await asyncio.to_thread(_put, relay, *map(str, range(100_000)))
    with pytest.raises(KeyError, match="0"):
        relay.finish()

    assert (["0"], True) == (passed, call.aborted)


async def test_the_callback_may_also_fail_at_the_very_end() -> None:
    """`finish` passes on the last lines."""
    relay = LogRelay(_fails, Call())
    await asyncio.to_thread(relay.put, "last")
    with pytest.raises(KeyError, match="last"):
        relay.finish()


async def test_no_line_is_passed_on_after_stop() -> None:
    """A cancelled caller gets no further line."""
    passed: list[str] = []
    relay = LogRelay(passed.append, Call())
    putting = threading.Thread(target=_put, args=(relay, "late"))
    putting.start()
    putting.join()  # the loop does not come to it
    relay.stop()
    await asyncio.sleep(0.01)

    assert [] == passed


async def test_a_callback_may_stop_it() -> None:
    """It may do so in the middle of a step."""
    passed: list[str] = []

    def on_line(line: str) -> None:
        passed.append(line)
        relay.stop()

    relay = LogRelay(on_line, Call())
    putting = threading.Thread(target=_put, args=(relay, "one", "two"))
    putting.start()
    putting.join()
    await asyncio.sleep(0.01)

    assert ["one"] == passed


async def test_the_tail_has_at_most_30_lines_and_4_kb() -> None:
    """Whole lines, the last ones, each after a line break."""
    relay = LogRelay(lambda _: None, Call())
    await asyncio.to_thread(_put, relay, *(f"{number:02}" for number in range(40)))
    assert "".join(f"\n{number}" for number in range(10, 40)) == relay.tail()

    await asyncio.to_thread(_put, relay, *["x" * 2000] * 3)
    assert ("\n" + "x" * 2000) * 2 == relay.tail()
