"""What is on the disks of both sides, read without the code that wrote it, and what the receiver has counted."""

import json
import urllib.request
from pathlib import Path

from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import read_samples

__all__ = ["left_files", "received_packages", "receiver_metrics"]

_PACKAGE_FILES = ["image.tar.gz", "manifest.json"]
_RECEIVED_FILES = ["deployment.json", "package"]
_OUTBOX = {"outbox.sqlite3", "outbox.lock"}
_RECEIVERS_OWN = {"nonces.sqlite3", "lock"}


def received_packages(store: Path) -> dict[str, str]:
    """Hash what the receiver has kept: BLAKE3 by package id; what is there twice has a second name."""
    found: dict[str, str] = {}
    for document in sorted(store.glob("packages/*/deployment.json")):
        package_id = json.loads(document.read_text())["package_id"]
        name = f"{package_id} again" if package_id in found else package_id
        found[name] = blake3(document.with_name("package").read_bytes()).hexdigest()
    return found


def left_files(sender: Path, receiver: Path, temporary: Path) -> list[str]:
    """Name what should not be there."""
    left = [str(path) for path in sorted(temporary.rglob("*"))]
    for store, files, own in ((sender, _PACKAGE_FILES, _OUTBOX), (receiver, _RECEIVED_FILES, _RECEIVERS_OWN)):
        left += [str(path) for path in sorted((store / "staging").rglob("*"))]
        left += [str(path) for path in sorted(store.iterdir()) if path.is_file() and path.name not in own]
        for entry in sorted((store / "packages").iterdir()):
            names = sorted(path.name for path in entry.iterdir())
            left += [] if names == files else [f"{entry}: {names}"]
    return left


def receiver_metrics(url: str) -> dict[str, int]:
    """Read the counters of the receiver; none if it does not respond. Blocks."""
    try:
        with urllib.request.urlopen(f"{url}/metrics") as response:
            text = response.read().decode()
    except OSError:
        return {}
    return {name.removeprefix("deployment_receiver_"): int(value) for name, value in read_samples(text).items()}
