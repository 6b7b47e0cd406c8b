"""Runs the soak and judges it: `python -m soak [--count N] [--concurrency N] [--seed N] [--json]`; see `./dev soak`."""

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType

from soak.checks import verdicts
from soak.evidence import Evidence
from soak.plan import Plan
from soak.report import document, lines
from soak.run import run

__all__ = ["conclude", "main"]

_LOG = Path(__file__).parents[1] / ".cache" / "soak"
_log = logging.getLogger("soak")


def main(arguments: list[str]) -> int:
    """Do a run; return the exit code."""
    options = _options(arguments)
    plan = Plan.make(seed=options.seed, count=options.count, concurrency=options.concurrency)
    log = _begin_log(plan)
    for name in [name for name in os.environ if name.startswith(("DEPLOYMENT_SENDER_", "DEPLOYMENT_RECEIVER_"))]:
        del os.environ[name]  # no settings from outside
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        evidence = run(plan, _report)
    except (KeyboardInterrupt, asyncio.CancelledError):
        log.unlink()
        print("soak: interrupted; what was made is removed", file=sys.stderr)
        return 128 + signal.SIGINT
    if conclude(evidence, as_json=options.json):
        log.unlink()
        return 0
    _log.error("%s", evidence)
    print(f"soak: FAILED; {log} shows what happened", file=sys.stderr)
    return 1


def conclude(evidence: Evidence, *, as_json: bool) -> bool:
    """Judge a run and print it; return whether no check failed."""
    found = verdicts(evidence)
    print(json.dumps(document(evidence, found)) if as_json else "\n".join(lines(evidence, found)))
    return not any(verdict.complaints for verdict in found)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev soak",
        description="Deploys many small images at once through one node, while what is around it breaks.",
    )
    parser.add_argument("--count", type=_positive, default=100, help="deployments (100)")
    parser.add_argument("--concurrency", type=_positive, default=5, help="how many at once (5)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the faults (a new one)")
    parser.add_argument("--json", action="store_true", help="print a JSON document")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _begin_log(plan: Plan) -> Path:
    """Have all that is logged in a file, which is kept where a check fails."""
    _LOG.mkdir(parents=True, exist_ok=True)
    log = _LOG / f"seed-{plan.seed}-{os.getpid()}.log"
    logging.basicConfig(filename=log, level=logging.DEBUG, format="%(asctime)s %(threadName)s %(name)s %(message)s")
    for noisy in ("aiokafka", "urllib3", "docker", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.INFO)
    _log.info("%s", plan)
    return log


def _report(line: str) -> None:
    _log.info("%s", line)
    print(f"soak: {line}", file=sys.stderr, flush=True)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: asyncio cancels the run for that, where an exception would break any task anywhere."""
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
