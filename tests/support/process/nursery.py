"""Children of a warm process: born in milliseconds, and strace(1) sees of them only what a test is about.

A child stops before its work until the test lets it go on, so that a tracer is there for the first system call.
"""

import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from support.eventually import eventually_sync

__all__ = ["Child", "Nursery", "SystemCall"]

_TESTS = Path(__file__).parents[2]
_DEADLINE_SECONDS = 120
# What `strace -f -o` writes: `1234  fsync(3</tmp/store>) = 0`.
_CALL = re.compile(r"\d+ +(\w+)\(.*")


class SystemCall(NamedTuple):
    """A system call as strace has written it: its name, and the whole line."""

    name: str
    line: str


class Child:
    """One process of the nursery, stopped before its work.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, pid: int, result: Path) -> None:
        self.pid = pid
        self._result = result
        self._log = result.with_suffix(".strace")
        self._handle = os.pidfd_open(pid)
        self._tracer: subprocess.Popen[bytes] | None = None
        self._await_field("State", "T")

    def trace(self, *injections: str, path: Path | None = None) -> Self:
        """Have strace watch its system calls, its threads' too, and tamper with them; skips the test without root.

        Args:
            injections: As for `strace -e inject=`; `when=` counts for each thread and each name by itself.
            path: Only calls about this one.
        """
        if os.geteuid() != 0:
            pytest.skip("only root may trace other processes wherever it is")
        command = ["strace", "-f", "-y", "-qq", "-e", "signal=none", "-o", str(self._log), "-p", str(self.pid)]
        command += [] if path is None else ["-P", str(path)]
        command += [argument for injection in injections for argument in ("-e", f"inject={injection}")]
        self._tracer = subprocess.Popen(command)
        self._await_field("TracerPid", str(self._tracer.pid))
        return self

    def begin(self) -> Self:
        """Let it do its work."""
        os.kill(self.pid, signal.SIGCONT)
        return self

    def send(self, number: signal.Signals) -> Self:
        """Send it a signal."""
        signal.pidfd_send_signal(self._handle, number)
        return self

    def ended(self) -> bool:
        """Return whether it has ended."""
        return bool(select.select([self._handle], [], [], 0)[0])

    def end(self, seconds: float = _DEADLINE_SECONDS) -> Any:
        """Wait for its end; return the result of its work, or None if it was killed before that."""
        ended = select.select([self._handle], [], [], seconds)[0]
        if not ended:
            self.send(signal.SIGKILL)
        os.close(self._handle)
        if self._tracer is not None:
            self._tracer.wait(_DEADLINE_SECONDS)
        assert ended, f"the child has not ended within {seconds:g} s"
        if not self._result.exists():
            return None
        result = json.loads(self._result.read_text())
        assert "failure" not in result, result["failure"]
        return result["value"]

    def calls(self) -> list[SystemCall]:
        """Return the system calls of its work, after its end."""
        found = (_CALL.match(line) for line in self._log.read_text(errors="replace").splitlines())
        calls = [SystemCall(match[1], match[0]) for match in found if match]
        mine = [number for number, call in enumerate(calls) if str(self._result) in call.line]
        return calls[: mine[0]] if mine else calls

    def _await_field(self, name: str, value: str) -> None:
        status = Path(f"/proc/{self.pid}/status")
        eventually_sync(lambda: f"\n{name}:\t{value}" in status.read_text())


class Nursery:
    """Forks children for the length of a `with` block; all are gone after it.

    Args:
        modules: Imported before the first child is born.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._born = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="nursery-"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.process.nursery", *self._modules],
            env=os.environ | {"PYTHONPATH": str(_TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        shutil.rmtree(self._folder)

    def child(self, work: str, *arguments: Any) -> Child:
        """Bear a child.

        Args:
            work: `MODULE:FUNCTION`; its result is passed as JSON.
            arguments: The function's, through JSON too.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._born += 1
            result = self._folder / str(self._born)
            print(json.dumps([work, arguments, str(result)]), file=self._process.stdin, flush=True)
            return Child(int(self._process.stdout.readline()), result)


def _serve(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # their exit codes are not needed
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(*json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(work: str, arguments: Sequence[Any], result: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the other one is the nursery's voice
    module, _, function = work.partition(":")
    work_of = getattr(importlib.import_module(module), function)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        outcome = {"value": work_of(*arguments)}
    except BaseException:  # noqa: BLE001 - reported to the test
        outcome = {"failure": traceback.format_exc()}
    descriptor = os.open(result, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, json.dumps(outcome).encode())
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1:])
