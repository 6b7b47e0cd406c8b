"""A program that runs for a call, and ends with it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

__all__ = ["Child"]

# Between SIGTERM and SIGKILL: ssh and credential helpers have nothing to save.
_GRACE_SECONDS = 1


class Child:
    """A program in a session of its own: Ctrl-C does not reach it, and programs that it starts end with it.

    `Call.register` accepts one, so that it ends when the call is aborted.

    Args:
        command: The program, looked up on PATH, and its arguments.
        streams: As for `subprocess.Popen`.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, command: Sequence[str], **streams: Any) -> None:
        self._process = subprocess.Popen(command, start_new_session=True, **streams)  # noqa: S603 - no shell reads it

    def wait(self, seconds: float) -> int | None:
        """Wait for the program's end.

        Returns:
            Its exit code, negative for a signal; None if it has not ended in time.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def shutdown(self, _how: int = 0) -> None:
        """Send SIGTERM, without waiting."""
        self._signal(signal.SIGTERM)

    def close(self) -> None:
        """End the program and wait until it has ended; twice is safe."""
        self.shutdown()
        if self.wait(_GRACE_SECONDS) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:  # otherwise the process id may be another's by now
            with suppress(OSError):
                os.killpg(self._process.pid, number)
