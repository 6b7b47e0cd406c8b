"""Whatever the receiver accepts loads as what was announced, and as nothing else, on every engine that answers.

The machine's own engine, and those whose addresses are in DEPLOYMENT_SENDER_TEST_ENGINES.
"""

from pathlib import Path

from support.archives.mutations import mutated
from support.engine.differential import Differential, engine_hosts

_MUTANTS = 400


async def test_mutated_archives(tmp_path: Path, real_engine: object) -> None:
    """Some hundred archives, the same each time; `./dev fuzz` tries others without end."""
    async with Differential(tmp_path, engine_hosts()) as differential:
        for seed in range(_MUTANTS):
            await differential.check(f"mutated({seed})", mutated(seed))
        report = differential.report

    assert [] == report.faults
    assert _MUTANTS == report.refused + report.accepted
    assert _MUTANTS // 4 < min(report.refused, report.accepted)
    assert _MUTANTS // 20 < min(report.loaded.values())
