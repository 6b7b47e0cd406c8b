"""Passes log lines from a thread to a callback on the event loop, without blocking the loop."""

import asyncio
from collections import deque
from collections.abc import Callable

from .call import Call

__all__ = ["LogRelay"]

# The end of the log in an error message: about a screen.
_TAIL_LINES = 30
_TAIL_CHARACTERS = 4096
# Lines passed on in one step of the loop: few, because other tasks run only between the steps.
_LINES_PER_STEP = 64
# Lines that may wait for the loop, four steps' worth; the thread pauses while there are more.
_MAX_WAITING_LINES = 256
# How long a thread that is too fast waits before it tries again: less than the loop needs for the waiting lines.
_PAUSE_SECONDS = 0.005


class LogRelay:
    """Passes lines to a callback on the loop that it was made on, some at a time; a faster thread waits.

    Args:
        on_line: Called with each line; if it raises, the call is aborted and `finish` raises the same.
        call: The call that runs in the thread.
    """

    def __init__(self, on_line: Callable[[str], None], call: Call) -> None:
        self._on_line = on_line
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str] = deque()
        self._scheduled = False
        self._stopped = False
        self._failure: Exception | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def put(self, line: str) -> None:
        """Add a line; called in the thread."""
        self._call.raise_if_aborted()
        while len(self._waiting) >= _MAX_WAITING_LINES:
            self._call.sleep(_PAUSE_SECONDS)
        self._tail.append(line)
        self._waiting.append(line)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._deliver_some)

    def finish(self) -> None:
        """Pass on the lines that still wait; called on the loop when the thread has ended.

        Raises:
            Exception: What `on_line` raised.
        """
        while self._waiting and not self._stopped:
            self._deliver(self._waiting.popleft())
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Pass on no further line."""
        self._stopped = True
        self._waiting.clear()

    def tail(self) -> str:
        """Return the last lines for an error message, each after a line break: at most 30, and about 4 KB."""
        kept: deque[str] = deque()
        characters_left = _TAIL_CHARACTERS
        for line in reversed(self._tail):
            characters_left -= len(line) + 1
            if characters_left < 0:
                break
            kept.appendleft(line)
        return "".join(f"\n{line}" for line in kept)

    def _deliver_some(self) -> None:
        # Cleared first: if the thread adds a line after the loop below, it schedules another step.
        self._scheduled = False
        for _ in range(min(_LINES_PER_STEP, len(self._waiting))):
            if self._stopped:
                return
            self._deliver(self._waiting.popleft())
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver_some)

    def _deliver(self, line: str) -> None:
        try:
            self._on_line(line)
        except Exception as exc:  # noqa: BLE001 - finish() raises it; here it would end in the loop's log
            self._failure = exc
            self.stop()
            self._call.abort()
