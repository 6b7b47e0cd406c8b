"""Measures: `python -m bench [--only ROW,..] [--rounds N] [--full] [--json]`; see `./dev bench`."""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.images import CACHE, remove_all
from bench.programs import run
from bench.report import Table, document, lines
from bench.rows import ROWS
from bench.session import Session

__all__ = ["main"]

_SIZE_MB, _FULL_SIZE_MB, _SMALL_PART = 300, 1500, 5
_PROGRAMS = {
    "docker": ["docker", "version", "--format", "{{.Client.Version}}"],
    "docker engine": ["docker", "version", "--format", "{{.Server.Version}}"],
    "curl": ["curl", "--version"],
    "gzip": ["gzip", "--version"],
    "pigz": ["pigz", "--version"],
    "zstd": ["zstd", "--version"],
}
_VERSION = re.compile(r"\d+\.\d[\w.+-]*")


def main(arguments: list[str]) -> int:
    """Measure; return the exit code."""
    options = _options(arguments)
    if options.clean:
        remove_all()
        return 0
    for name in [name for name in os.environ if name.startswith(("DEPLOYMENT_SENDER_", "DEPLOYMENT_RECEIVER_"))]:
        del os.environ[name]  # no settings from outside
    # As Ctrl-C, which also cancels a running loop.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    CACHE.mkdir(parents=True, exist_ok=True)
    tables = []
    try:
        with tempfile.TemporaryDirectory(prefix=f"run-{os.getpid()}-", dir=CACHE, ignore_cleanup_errors=True) as folder:
            about = _about(options)
            _show(options, [f"{name}: {value}" for name, value in about.items()])
            for table in _measured(options, Path(folder)):
                _show(options, ["", *lines(table)])
                tables.append(table)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: interrupted; what was made for this run is removed", file=sys.stderr)
        return 128 + signal.SIGINT
    if options.json:
        print(json.dumps(document(about, tables)))
    return int(any(table.wrong for table in tables))


def _measured(options: argparse.Namespace, folder: Path) -> Iterator[Table]:
    size_mb = options.size_mb or (_FULL_SIZE_MB if options.full else _SIZE_MB)
    sizes = [max(1, size_mb // _SMALL_PART), size_mb] if options.full else [size_mb]
    session = Session(sizes, options.rounds, slow_once=options.full, folder=folder, report=_report)
    for name in options.only:
        try:
            yield ROWS[name](session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other subjects are measured
            traceback.print_exc()
            yield Table(name, "could not be measured", wrong=[f"{type(error).__name__}: {error}"])


def _about(options: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.platform()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "omninode-deployment-sender": version("omninode-deployment-sender"),
        "rounds": options.rounds,
    }
    for name, command in _PROGRAMS.items():
        found_version = _VERSION.search(run(*command)) if shutil.which(command[0]) else None
        found[name] = found_version[0] if found_version else "not installed"
    return found


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures ours and what people use instead, in turn. Each number is printed with the bound that it "
        "should meet; the exit code is 1 only where something is incorrect or could not be measured.",
    )
    names = ", ".join(ROWS)
    parser.add_argument("--only", type=_rows, default=list(ROWS), metavar="ROW[,ROW]", help=f"some of {names}")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each is measured (3)")
    parser.add_argument("--full", action="store_true", help=f"images of {_FULL_SIZE_MB} MB; takes half an hour")
    parser.add_argument("--size-mb", type=_positive, help=f"another size of the image ({_SIZE_MB})")
    parser.add_argument("--json", action="store_true", help="print a JSON document; the tables go to standard error")
    parser.add_argument("--clean", action="store_true", help="remove the images and files that are kept between runs")
    return parser.parse_args(arguments)


def _rows(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - ROWS.keys():
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _show(options: argparse.Namespace, printed: list[str]) -> None:
    print("\n".join(printed), file=sys.stderr if options.json else sys.stdout, flush=True)


def _report(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
