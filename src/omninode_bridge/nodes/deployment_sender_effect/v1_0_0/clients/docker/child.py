"""A program that is started beside us, and ends with the call that it was started for."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

__all__ = ["Child"]

# A program that is asked to end has nothing to save here; one that is still there then is killed.
_GRACE_SECONDS = 1


class Child:
    """A program in a session of its own: Ctrl-C is for us, and what it starts itself is ended with it.

    `Call.adopt` takes one, so that it ends when the call is cancelled.

    Args:
        command: The program, looked up on PATH, and its arguments.
        streams: As for `subprocess.Popen`.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, command: Sequence[str], **streams: Any) -> None:
        self._process = subprocess.Popen(command, start_new_session=True, **streams)  # noqa: S603 - no shell reads it

    def ended(self, seconds: float) -> int | None:
        """Wait for its end.

        Returns:
            Its exit code, negative for a signal; None if it has not ended in time.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def shutdown(self, _how: int = 0) -> None:
        """Ask it to end; waits for nothing."""
        self._signal(signal.SIGTERM)

    def close(self) -> None:
        """Have it end, and wait until it has; twice is safe."""
        self.shutdown()
        if self.ended(_GRACE_SECONDS) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:  # otherwise the number may be another's by now
            with suppress(OSError):
                os.killpg(self._process.pid, number)
