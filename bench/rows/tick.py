"""How late a tick on the node's loop is while it packages and sends."""

from bench.journeys import journeys
from bench.measure import percentile
from bench.report import Entry, Figure, Table
from bench.session import Session

__all__ = ["measure"]

_LOOPS = {"the node's loop": "late_ms", "an idle process": "idle_late_ms"}


def measure(session: Session) -> Table:
    """Compare both; the idle process shows the noise of the machine."""
    rounds = journeys(session)[session.sizes_mb[-1]]
    entries, worst = [], {}
    for name, key in _LOOPS.items():
        late = [ms for one in rounds for ms in one[key]]
        worst[name] = (max(late), percentile(late, 99))
        detail = f"99th percentile {worst[name][1]:.3g} ms, longest {worst[name][0]:.3g} ms, of {len(late):,} ticks"
        entries.append(Entry(name, percentile(late, 50), "ms", detail=detail))
    longest, most = worst["the node's loop"]
    return Table(
        "tick",
        f"lateness of a 10 ms tick while an image of {session.sizes_mb[-1]} MB is packaged and sent",
        entries=entries,
        figures=[
            Figure("longest lateness on the node's loop, of all rounds", longest, "ms", at_most=50),
            Figure("99th percentile on the node's loop, of all rounds", most, "ms", at_most=15),
        ],
        wrong=[complaint for one in rounds for complaint in one["wrong"]],
    )
