"""The reference receiver as a process of its own, as a person would start it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from support.eventually import eventually_sync

__all__ = ["ReceiverProcess"]

_MODULE = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver"


class ReceiverProcess:
    """Starts with the `with` block on a free loopback port and is stopped, or has ended, when the block is left.

    Args:
        store: Its store; kept.
        arguments: Further arguments of `serve`.
        environ: Added to this process's environment, in which a start is watched for half a second.
        deadline_seconds: For its start and for its stop, each.
        python: The interpreter of the environment that the receiver is installed in.

    Attributes:
        url: Where it listens.
        store: As given.
        lines: What it has printed so far.
    """

    def __init__(
        self,
        store: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        deadline_seconds: float = 120,
        python: str = sys.executable,
    ) -> None:
        self.url = ""
        self.store = store
        self.lines: list[str] = []
        port = [] if "--port" in arguments else ["--port", "0"]
        self._command = [python, "-m", _MODULE, "serve", *port, "--store", str(store), *arguments]
        quick = {"DEPLOYMENT_RECEIVER_START_WATCH_SECONDS": "0.5", "DEPLOYMENT_RECEIVER_WATCH_INTERVAL_SECONDS": "0.2"}
        self._environ = {**os.environ, **quick, **(environ or {})}
        self._deadline_seconds = deadline_seconds
        self._tracer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        # If it were not read, a full pipe would block the receiver.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            line = self.wait_for(r"listening on (\S+)", self._deadline_seconds)
        except BaseException:
            self.kill()
            raise
        self.url = line[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def wait_for(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """Wait until a line that it prints matches."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended = self._process.poll() is not None and not self._reader.is_alive()
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if ended:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines))

    def trace(self, *injections: str) -> None:
        """Have strace(1) tamper with its threads' system calls from now on; skips the test without root.

        Args:
            injections: As for `strace -e inject=`; `when=` counts for each thread and each name by itself.
        """
        if os.geteuid() != 0:
            pytest.skip("only root may trace other processes wherever it is")
        command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", os.devnull, "-p", str(self.pid)]
        command += [argument for injection in injections for argument in ("-e", f"inject={injection}")]
        self._tracer = subprocess.Popen(command)
        watched, tasks = f"\nTracerPid:\t{self._tracer.pid}\n", Path(f"/proc/{self.pid}/task")
        eventually_sync(lambda: all(watched in status.read_text() for status in tasks.glob("*/status")))

    def stop(self) -> int:
        """Stop it by SIGTERM, and return its exit code; kill it when it does not exit within the deadline."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait for its end, and return its exit code; kill it when it does not exit within the deadline."""
        try:
            code = self._process.wait(self._deadline_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._finish()
        return code

    def kill(self) -> None:
        """Kill it without a warning."""
        self._process.kill()
        if self._tracer is not None:
            self._tracer.kill()  # it may be holding a thread, which could not die then
        self._process.wait()
        self._finish()

    def _finish(self) -> None:
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._tracer is not None:
            self._tracer.wait(self._deadline_seconds)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
