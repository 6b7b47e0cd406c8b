"""The receiver: take, verify and store, beside a mere copy."""

import shutil
from time import perf_counter

from bench.measure import compare
from bench.programs import run
from bench.report import Figure, Table, entries
from bench.sending import curl, note_on_size
from bench.session import Session

__all__ = ["measure"]

_OURS = "curl -F into our receiver"
_COPY = "cat > file && sync -d file"


def measure(session: Session) -> Table:
    """Compare."""
    package = session.package
    wrong: list[str] = []

    def ours() -> float:
        with session.receiver() as receiver:
            seconds = curl(package, receiver.url, session.folder / "response")
            wrong.extend(session.received(package.fields["checksum"]))
        return seconds

    def copy() -> float:
        folder = session.folder / "copy"
        folder.mkdir()
        started = perf_counter()
        run("sh", "-c", 'cat "$1" >"$2" && sync -d "$2"', "sh", str(package.path), str(folder / "file"))
        seconds = perf_counter() - started
        shutil.rmtree(folder)
        return seconds

    found = compare(
        {_OURS: ours, _COPY: copy},
        session.rounds,
        warm_up=True,
        before=session.turn_of("receiver"),
    )
    size_mb = package.size_bytes / 1e6
    return Table(
        "receiver",
        f"verify and store a package of {size_mb:,.0f} MB",
        entries=entries(
            found,
            ours=[_OURS],
            floor=_COPY,
            details={name: f"{size_mb / found.median(name):,.0f} MB/s" for name in (_OURS, _COPY)},
        ),
        figures=[Figure(f"throughput of our receiver / {_COPY}", found.ratio(_COPY, _OURS), "x", at_least=0.6)],
        notes=note_on_size(package),
        wrong=wrong,
    )
