"""A package on its way into a receiver: ours, and curl's."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from bench.programs import BenchError, run
from bench.session import Package
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    NodeDeploymentSenderEffect,
)

__all__ = ["curl", "note_on_size", "send", "send_all"]

_READ_THROUGH_MAX_BYTES = 64 << 20


async def send(
    node: NodeDeploymentSenderEffect, package: Package, url: str
) -> tuple[float, ModelPackageTransferOutput]:
    """Have our node send it; return the seconds of the whole call, with the check of the file."""
    fields = {"package_id": package.package_id, "remote_receiver_url": url, "wait_for": "received"}
    started = perf_counter()
    output = await node.transfer_package(ModelPackageTransferInput.read(fields))
    seconds = perf_counter() - started
    if not (output.success and output.checksum_verified and output.attempts == 1):
        raise BenchError(f"transfer_package: {output!r}")
    return seconds, output


async def send_all(
    node: NodeDeploymentSenderEffect, packages: Sequence[Package], url: str
) -> tuple[float, list[float]]:
    """Have our node send them at once; return the seconds of all, and of each."""
    started = perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(node, package, url)) for package in packages]
    return perf_counter() - started, [task.result()[0] for task in tasks]


def curl(package: Package, url: str, response: Path) -> float:
    """Have curl send it; return the seconds."""
    fields = [part for name, value in package.fields.items() for part in ("-F", f"{name}={value}")]
    command = ["curl", "-sS", "--fail-with-body", "-o", str(response), *fields, "-F", f"package=@{package.path}"]
    started = perf_counter()
    run(*command, f"{url}/deploy")
    seconds = perf_counter() - started
    if json.loads(response.read_text())["checksum_verified"] is not True:
        raise BenchError("the receiver has not verified what curl sent")
    return seconds


def note_on_size(package: Package) -> list[str]:
    """Return a note for a package whose receipt waits for more than the disk (docs/receiver-protocol.md)."""
    small = package.size_bytes <= _READ_THROUGH_MAX_BYTES
    return (
        ["the receiver reads a package of up to 64 MiB through before it sends its receipt: measure a larger one"]
        if small
        else []
    )
