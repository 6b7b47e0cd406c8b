"""Other programs, run so that none outlives the run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import IO, Any

__all__ = ["BenchError", "b3sum", "piped", "python", "reading", "run"]

_ROOT = Path(__file__).parents[1]


class BenchError(Exception):
    """Something is not as it should be: what is measured would mean nothing."""


def run(*command: str) -> str:
    """Run a program; return its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def python(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module of ours as a program; return the JSON that it prints."""
    with _started([sys.executable, "-m", module, *arguments], subprocess.PIPE) as process:
        printed, _ = process.communicate()
    if process.returncode != 0:
        raise BenchError(f"python -m {module} ended with {process.returncode}")
    document: dict[str, Any] = json.loads(printed)
    return document


def b3sum(path: Path) -> str:
    """Hash a file with a program that is not ours."""
    return run("b3sum", "--no-names", str(path)).strip()


def piped(commands: Sequence[Sequence[str]], out: Path) -> float:
    """Run a pipeline into a new file, until it is on the disk; return the seconds."""
    started = perf_counter()
    with out.open("wb") as file, ExitStack() as running:
        source: IO[bytes] | None = None
        for number, command in enumerate(commands):
            sink: Any = file if number == len(commands) - 1 else subprocess.PIPE
            process = running.enter_context(_started(command, sink, source))
            if source is not None:
                source.close()  # so that the one before gets SIGPIPE when this one has ended
            source = process.stdout
        running.close()
        os.fsync(file.fileno())
    return perf_counter() - started


@contextmanager
def reading(*command: str) -> Iterator[IO[bytes]]:
    """What a program prints, while it does."""
    with _started(command, subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout


@contextmanager
def _started(
    command: Sequence[str], sink: IO[bytes] | int, source: IO[bytes] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a program running; it must have succeeded, or is killed if the block fails."""
    process = subprocess.Popen(command, stdin=source or subprocess.DEVNULL, stdout=sink, cwd=_ROOT)
    try:
        yield process
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if code != 0:
        raise BenchError(f"{' '.join(command)} ended with {code}")
