"""Loads mutated archives on real engines if the receiver accepts them; nothing but the announced image may change.

The engines are the machine's own one, and those whose addresses are in DEPLOYMENT_SENDER_TEST_ENGINES.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError
from support.archives.mutations import mutated
from support.engine.differential import Differential, engine_hosts

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Try archives for this many seconds, from a new seed on; or those of the seeds. Return the exit code."""
    match arguments:
        case ["seconds", seconds]:
            seeds: Iterable[int] = _seeds(float(seconds))
        case _:
            seeds = map(int, arguments)
    return asyncio.run(_check(seeds))


def _seeds(seconds: float) -> Iterator[int]:
    end = time.monotonic() + seconds
    for seed in count(time.time_ns() // 1_000_000):
        if time.monotonic() > end:
            return
        yield seed


async def _check(seeds: Iterable[int]) -> int:
    hosts = engine_hosts()
    with tempfile.TemporaryDirectory() as folder:
        try:
            async with Differential(Path(folder), hosts) as differential:
                for seed in seeds:
                    await differential.check(f"python fuzz engines {seed}", mutated(seed))
                    if differential.report.faults:
                        break
        except OperationError as exc:
            print(f"left out: engines: {exc.message}")
            return 0
    report = differential.report
    for fault in report.faults:
        print(f"FAILED  {fault}")
    tried = report.accepted + report.refused
    loaded = ", ".join(f"{report.loaded[host]} loaded by {host}" for host in hosts)
    verdict = "FAILED " if report.faults else "ok     "
    print(f"{verdict} engines: {report.accepted} of {tried} archives accepted, {loaded}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
