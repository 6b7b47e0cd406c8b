"""What a process has open, and how much memory it has taken."""

import asyncio
import re
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

__all__ = ["Belongings", "open_files", "peak_bytes"]

_LOOK_AGAIN_SECONDS = 0.05


class Belongings:
    """This process's threads, tasks and descriptors; made and asked on the loop, while no thread of its pool lives."""

    def __init__(self) -> None:
        self._before = _counted()

    async def leaked(self, settles_in_seconds: float = 10) -> list[str]:
        """Return how many more there are now; what is closing gets some time. The loop's pool is gone then."""
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        end = loop.time() + settles_in_seconds
        while (leaks := _counted() - self._before) and loop.time() < end:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return [f"{name}: {count} more than before" for name, count in sorted(leaks.items())]


def _counted() -> Counter[str]:
    counts = Counter(f"thread {thread.name}" for thread in threading.enumerate())
    counts.update(f"task {task.get_coro()!r}" for task in asyncio.all_tasks() if task is not asyncio.current_task())
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one of this very listing is gone by now
            counts[f"descriptor of {re.sub('[0-9]+', 'N', str(entry.readlink()))}"] += 1
    return counts


def open_files(pid: int, folder: Path) -> list[str]:
    """Name the files of a folder that a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed just now
            found.append(str(entry.readlink()))
    return [f"process {pid} has {name} open" for name in found if Path(name).is_relative_to(folder)]


def peak_bytes(pid: int | str = "self") -> int:
    """The most memory that a process has had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
