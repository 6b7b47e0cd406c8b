"""What importing the front door costs."""

import subprocess
import sys
from functools import partial
from time import perf_counter

from bench.measure import compare
from bench.programs import run
from bench.report import Figure, Table, entries
from bench.session import Session

__all__ = ["measure"]

_FRONT_DOOR = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"
_OURS, _PYDANTIC = "import the front door", "import pydantic"
_STATEMENTS = {_OURS: f"import {_FRONT_DOOR}", _PYDANTIC: _PYDANTIC}
_COSTLY = ("aiokafka", "docker", "httpx")
_TIMES = 10


def measure(session: Session) -> Table:
    """Compare."""
    session.report(f"import: {_TIMES} times each")
    found = compare({name: partial(_seconds, name) for name in _STATEMENTS}, _TIMES, warm_up=True)
    code = f"{_STATEMENTS[_OURS]}, sys\nprint(*[name for name in {_COSTLY} if name in sys.modules])"
    imported = run(sys.executable, "-c", code).split()
    more = (found.median(_OURS) - found.median(_PYDANTIC)) * 1000
    return Table(
        "import",
        f"a Python process that imports and ends, {_TIMES} times each",
        entries=entries(found, ours=[_OURS], floor=_PYDANTIC),
        figures=[Figure("more than import pydantic", more, "ms", at_most=150)],
        wrong=[f"the front door imports {name}" for name in imported],
    )


def _seconds(name: str) -> float:
    started = perf_counter()
    subprocess.run([sys.executable, "-c", _STATEMENTS[name]], check=True)
    return perf_counter() - started
