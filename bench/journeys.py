"""Whole journeys, in separate processes: how much memory they take, and how late a tick is meanwhile."""

import json
import shutil
import time
import urllib.request
from functools import cache
from typing import Any

from bench.images import Image
from bench.programs import BenchError, python
from bench.session import Session, packaging
from bench.ticks import idle_loop
from soak.process import peak_bytes

__all__ = ["journeys"]

_LOADS_IN_SECONDS = 600


@cache
def journeys(session: Session) -> dict[int, list[dict[str, Any]]]:
    """Do one with each size in each round; only once for a session.

    Returns:
        By size, for each round `peak_bytes` and `late_ms` of the sender, `receiver_peak_bytes`, `idle_late_ms` of
        another process at the same time, and what is `wrong`.
    """
    found: dict[int, list[dict[str, Any]]] = {size_mb: [] for size_mb in session.sizes_mb}
    for number in range(session.rounds):
        for size_mb, done in found.items():
            session.report(f"a journey with {size_mb} MB: round {number + 1} of {session.rounds}")
            done.append(_journey(session, session.image_of(size_mb)))
    return found


def _journey(session: Session, image: Image) -> dict[str, Any]:
    store = session.folder / "journey"
    task = {"settings": {"package_dir": str(store)}, "package": packaging(image, "gzip")}
    try:
        with session.receiver(loads=True) as receiver:
            with idle_loop() as idle_late_ms:
                figures = python("bench.journey", json.dumps(task | {"url": receiver.url}))
            _await_load(receiver.url)
            figures["receiver_peak_bytes"] = peak_bytes(receiver.pid)
            figures["wrong"] = session.received(figures["checksum"])
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return figures | {"idle_late_ms": idle_late_ms}


def _await_load(url: str) -> None:
    end = time.monotonic() + _LOADS_IN_SECONDS
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{url}/deployments") as response:
            (deployment,) = json.load(response)["deployments"]
        if deployment["status"] == "loaded":
            return
        if deployment["status"] == "failed":
            raise BenchError(f"the receiver could not load a package: {deployment['error_message']}")
        time.sleep(0.1)
    raise BenchError(f"the receiver has not loaded a package within {_LOADS_IN_SECONDS} s")
