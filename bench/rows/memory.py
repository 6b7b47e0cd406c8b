"""The most memory that each side has taken at once."""

import shutil

from bench.journeys import journeys
from bench.programs import python
from bench.report import Entry, Figure, Table
from bench.session import Session

__all__ = ["measure"]

_MB = 1_000_000
_SIDES = {"sender": "peak_bytes", "receiver": "receiver_peak_bytes"}
_LIMIT_MB = 120
_SAME = 1.1


def measure(session: Session) -> Table:
    """Compare."""
    entries, figures, wrong = [], [], []
    peaks: dict[str, list[float]] = {side: [] for side in _SIDES}
    for size_mb, rounds in journeys(session).items():
        for side, key in _SIDES.items():
            peak = max(one[key] for one in rounds) / _MB
            peaks[side].append(peak)
            entries.append(Entry(f"our {side}, {size_mb} MB", peak, "MB"))
            figures.append(Figure(f"peak of our {side} with {size_mb} MB", peak, "MB", at_most=_LIMIT_MB))
        entries.append(Entry(f"the first version, {size_mb} MB", _first_version(session, size_mb), "MB"))
        wrong += [complaint for one in rounds for complaint in one["wrong"]]
    if len(session.sizes_mb) > 1:
        figures += [
            Figure(f"peak of our {side}, the largest size / the smallest", found[-1] / found[0], "x", at_most=_SAME)
            for side, found in peaks.items()
        ]
    return Table(
        "memory",
        "the most memory at once (VmHWM) while an image is packaged, sent, verified and loaded",
        entries=entries,
        figures=figures,
        notes=["each the largest of all rounds"],
        wrong=wrong,
        column="peak",
    )


def _first_version(session: Session, size_mb: int) -> float:
    session.report(f"memory: the first version with {size_mb} MB")
    folder = session.folder / "first"
    folder.mkdir()
    with session.receiver() as receiver:
        figures = python("bench.first_version", session.image_of(size_mb).reference, str(folder), receiver.url)
    shutil.rmtree(folder)
    return float(figures["peak_bytes"]) / _MB
