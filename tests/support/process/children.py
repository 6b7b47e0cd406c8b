"""The work of the children of a nursery: work that a test breaks off, limits or tampers with."""

import asyncio
import ctypes
import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import OutputModel
from support.archives.stored import keep_package

__all__ = ["keep", "keep_often", "make_node", "package", "package_until_kept", "resolve"]

_CONTENT = b"a package " * 10_000
_MANY_TIMES = 40  # more than an engine's client has threads


def make_node(settings: dict[str, Any]) -> None:
    """Make a node, and nothing else."""
    NodeDeploymentSenderEffect(settings)


def keep(folder: str) -> str:
    """Put a small package into a store, as a process that has just started; return its id."""
    return keep_package(Path(folder), _CONTENT)[0].package_id


def keep_often(folder: str, times: int) -> list[str]:
    """Put many packages into a store, each as a process that has just started; return their ids."""
    return [keep(folder) for _ in range(times)]


def package(
    settings: dict[str, Any],
    contracts: Sequence[Mapping[str, Any]],
    file_bytes: int | None = None,
    temporary: str | None = None,
) -> list[dict[str, Any]]:
    """Do what contracts ask for, one after the other, with one node.

    Args:
        settings: The node's container.
        contracts: As for `execute_effect`.
        file_bytes: No file may grow larger (RLIMIT_FSIZE, setrlimit(2)).
        temporary: Where temporary files go.

    Returns:
        The outputs' fields.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, limits[1]))
    if temporary is not None:
        os.environ["TMPDIR"] = temporary

    async def work() -> list[dict[str, Any]]:
        async with NodeDeploymentSenderEffect(settings) as node:
            return [await _fields(node, contract) for contract in contracts]

    try:
        return asyncio.run(work())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # the result is written to a file, too


def package_until_kept(settings: dict[str, Any], contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Do what a contract asks for until that succeeds, with one node; return the outputs' fields."""

    async def work() -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        async with NodeDeploymentSenderEffect(settings) as node:
            while len(results) < _MANY_TIMES and not (results and results[-1]["success"]):
                results.append(await _fields(node, contract))
        return results

    return asyncio.run(work())


async def _fields(node: NodeDeploymentSenderEffect, contract: Mapping[str, Any]) -> dict[str, Any]:
    result = await node.execute_effect(contract)
    assert isinstance(result, OutputModel)
    return result.model_dump(mode="json")


def resolve(settings: dict[str, Any], contract: Mapping[str, Any], resolver: str) -> None:
    """Do what a contract asks for, with the name servers that a file names, and cancel it after a second.

    Args:
        settings: The node's container.
        contract: As for `execute_effect`.
        resolver: Stands in for /etc/resolv.conf (resolv.conf(5)).
    """
    # A mount of this process's own (unshare(2), CLONE_NEWNS); os.unshare is Python 3.12's.
    assert 0 == ctypes.CDLL(None, use_errno=True).unshare(0x20000)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)

    async def work() -> None:
        async with NodeDeploymentSenderEffect(settings) as node:
            task = asyncio.create_task(node.execute_effect(contract))
            await asyncio.wait({task}, timeout=1)
            assert task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

    asyncio.run(work())
