"""Brings the lines of a worker's thread to a callback on the event loop, without flooding the loop."""

import asyncio
from collections import deque
from collections.abc import Callable

from .call import Call

__all__ = ["LogRelay"]

_TAIL_LINES = 30
_TAIL_CHARACTERS = 4096
_LINES_PER_TURN = 64
_LINES_WAITING = 256
_PAUSE_SECONDS = 0.005


class LogRelay:
    """Tells lines on the loop it was made on, some at a time; a worker that is faster waits.

    Args:
        on_line: Told each line; if it raises, the call is broken off and `finish` raises the same.
        call: The worker's.
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
        """Take a line; called in the worker's thread."""
        self._call.check()
        while len(self._waiting) >= _LINES_WAITING:
            self._call.sleep(_PAUSE_SECONDS)
        self._tail.append(line)
        self._waiting.append(line)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._tell_some)

    def finish(self) -> None:
        """Tell what still waits; called on the loop when the worker has ended.

        Raises:
            Exception: What `on_line` raised.
        """
        while self._waiting and not self._stopped:
            self._tell(self._waiting.popleft())
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Tell nothing more."""
        self._stopped = True
        self._waiting.clear()

    def tail(self) -> str:
        """Answer the last lines for an error, each after a line break: at most 30, and about 4 KB."""
        kept: deque[str] = deque()
        room = _TAIL_CHARACTERS
        for line in reversed(self._tail):
            room -= len(line) + 1
            if room < 0:
                break
            kept.appendleft(line)
        return "".join(f"\n{line}" for line in kept)

    def _tell_some(self) -> None:
        # Before the first look: a line that the worker adds after the last one makes it schedule another turn.
        self._scheduled = False
        for _ in range(min(_LINES_PER_TURN, len(self._waiting))):
            if self._stopped:
                return
            self._tell(self._waiting.popleft())
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._tell_some)

    def _tell(self, line: str) -> None:
        try:
            self._on_line(line)
        except Exception as exc:  # noqa: BLE001 - finish() raises it; here it would end in the loop's log
            self._failure = exc
            self.stop()
            self._call.abort()
