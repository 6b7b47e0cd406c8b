"""Lines from a worker's thread to the loop."""

import asyncio
import threading

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.log_relay import LogRelay


def _put(pump: LogRelay, *lines: str) -> None:
    for line in lines:
        pump.put(line)


def _fails(line: str) -> None:
    raise KeyError(line)


async def test_every_line_is_passed_on_in_order_on_the_loop() -> None:
    """The last ones are passed on after the thread has ended."""
    told: list[tuple[str, bool]] = []
    loop_thread = threading.current_thread()
    pump = LogRelay(lambda line: told.append((line, threading.current_thread() is loop_thread)), Call())

    await asyncio.to_thread(_put, pump, *map(str, range(2000)))
    pump.finish()

    assert [(str(number), True) for number in range(2000)] == told


async def test_the_loop_goes_on_while_a_build_chatters() -> None:
    """A fast thread waits for a slow callback; other tasks run after a limited number of lines."""
    told: list[str] = []
    pump = LogRelay(told.append, Call())
    worker = asyncio.ensure_future(asyncio.to_thread(_put, pump, *["line"] * 5000))
    most = 0
    while not worker.done():
        before = len(told)
        await asyncio.sleep(0)
        most = max(most, len(told) - before)
    pump.finish()

    assert 5000 == len(told)
    assert 2 * 64 >= most


async def test_an_error_of_the_callback_is_raised_by_finish_and_aborts_the_call() -> None:
    """It keeps its type; no further line is passed on."""
    told: list[str] = []

    def on_line(line: str) -> None:
        told.append(line)
        raise KeyError(line)

    pump = LogRelay(on_line, call := Call())

    with pytest.raises(AbortedError):
        await asyncio.to_thread(_put, pump, *map(str, range(100_000)))
    with pytest.raises(KeyError, match="0"):
        pump.finish()

    assert (["0"], True) == (told, call.aborted)


async def test_the_callback_may_also_fail_at_the_very_end() -> None:
    """`finish` passes on the last lines."""
    pump = LogRelay(_fails, Call())
    await asyncio.to_thread(pump.put, "last")
    with pytest.raises(KeyError, match="last"):
        pump.finish()


async def test_no_line_is_passed_on_after_stop() -> None:
    """A cancelled caller gets no further line."""
    told: list[str] = []
    pump = LogRelay(told.append, Call())
    putting = threading.Thread(target=_put, args=(pump, "late"))
    putting.start()
    putting.join()  # the loop does not come to it
    pump.stop()
    await asyncio.sleep(0.01)

    assert [] == told


async def test_a_callback_may_stop_it() -> None:
    """It may do so in the middle of a step."""
    told: list[str] = []

    def on_line(line: str) -> None:
        told.append(line)
        pump.stop()

    pump = LogRelay(on_line, Call())
    putting = threading.Thread(target=_put, args=(pump, "one", "two"))
    putting.start()
    putting.join()
    await asyncio.sleep(0.01)

    assert ["one"] == told


async def test_the_tail_has_at_most_30_lines_and_4_kb() -> None:
    """Whole lines, the last ones, each after a line break."""
    pump = LogRelay(lambda _: None, Call())
    await asyncio.to_thread(_put, pump, *(f"{number:02}" for number in range(40)))
    assert "".join(f"\n{number}" for number in range(10, 40)) == pump.tail()

    await asyncio.to_thread(_put, pump, *["x" * 2000] * 3)
    assert ("\n" + "x" * 2000) * 2 == pump.tail()
