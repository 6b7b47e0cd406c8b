"""How late the ticks of an event loop come."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

__all__ = ["idle_loop", "ticking"]

_EVERY_SECONDS = 0.01
_ROOT = Path(__file__).parents[1]


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Tick on the running loop; the list grows by how late each tick was, in milliseconds.

    Every tick is due at its time, whatever held up the one before: a loop that is blocked for long has many late ticks.
    """
    late: list[float] = []
    task = asyncio.create_task(_tick(late))
    try:
        yield late
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tick(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += _EVERY_SECONDS
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append((loop.time() - due) * 1000)


@contextmanager
def idle_loop() -> Iterator[list[float]]:
    """Have another process tick that does nothing else; the list is filled when the block is left."""
    late: list[float] = []
    command = [sys.executable, "-m", "bench.ticks"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        try:
            yield late
            printed, _ = process.communicate()  # closes its input, which ends it
        except BaseException:
            process.kill()
            raise
    late += [float(line) for line in printed.split()]


async def _idle() -> list[float]:
    async with ticking() as late:
        await asyncio.to_thread(sys.stdin.read)
    return late


if __name__ == "__main__":
    print(*asyncio.run(_idle()), sep="\n")
