"""A damaged outbox, as the commands and a running node find it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from support.kafka.publishing import request

_CLI = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli"


def command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `deployment-sender` on the packages and events of a folder."""
    line = [sys.executable, "-m", _CLI, "--package-dir", str(folder), "--json", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def events(folder: Path) -> list[dict[str, Any]]:
    """Return what `deployment-sender events` lists, newest first."""
    done = command(folder, "events", "--limit", "100")
    assert (0, "") == (done.returncode, done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return found


async def publish(node: NodeDeploymentSenderEffect, *numbers: int) -> list[bool]:
    """Publish events without a broker; return whether each waits in the outbox."""
    return [(await node.publish_transfer_event(request("node", number))).queued for number in numbers]


async def test_a_cut_outbox_is_reported_once_and_renamed(tmp_path: Path) -> None:
    """The command reports the new name and what to do; the next one lists the events that could be read."""
    async with NodeDeploymentSenderEffect({"package_dir": str(tmp_path)}) as node:
        await publish(node, *range(40))
    path = tmp_path / "outbox.sqlite3"
    os.truncate(path, path.stat().st_size - 2000)
    damaged = path.read_bytes()

    done = command(tmp_path, "events")
    left = events(tmp_path)

    (aside,) = tmp_path.glob("outbox.damaged-*")
    answer = json.loads(done.stdout)
    assert (1, "KAFKA_PUBLISH_FAILED") == (done.returncode, answer["error_code"])
    assert f"is renamed to {aside.name}; a new one has the {len(left)} events" in answer["error_message"]
    assert f"`sqlite3 {aside} .recover`" in answer["recovery"]
    assert damaged == aside.read_bytes()
    assert 20 < len(left) < 40


@pytest.mark.parametrize("name", ["outbox.sqlite3", "outbox.sqlite3-wal"])
async def test_an_empty_outbox_is_reported_as_damaged(tmp_path: Path, name: str) -> None:
    """Its log is kept too, if the process that wrote it was killed."""
    async with NodeDeploymentSenderEffect({"package_dir": str(tmp_path)}) as node:
        await publish(node, 1)
    path = tmp_path / "outbox.sqlite3"
    path.write_bytes(b"")
    path.with_name(f"{path.name}-wal").write_bytes(b"log")

    done = command(tmp_path, "publish", "BUILD_STARTED", "--name", "hello")

    assert 1 == done.returncode
    assert "the file was damaged and is renamed to" in json.loads(done.stdout)["error_message"]
    (aside,) = tmp_path.glob("outbox.damaged-*" + name.removeprefix("outbox"))
    assert path.with_name(name).exists() == (name == path.name)
    assert (b"" if name == path.name else b"log") == aside.read_bytes()


async def test_a_node_continues_in_the_outbox_that_another_process_made(tmp_path: Path) -> None:
    """It had the damaged file open when another process renamed it."""
    path = tmp_path / "outbox.sqlite3"
    async with NodeDeploymentSenderEffect({"package_dir": str(tmp_path)}) as node:
        assert [True] == await publish(node, 1)
        with path.open("r+b") as file:
            file.write(b"no database any more")
        assert 1 == command(tmp_path, "events").returncode

        assert [True, True] == await publish(node, 2, 3)

    assert 2 == len([entry for entry in events(tmp_path) if entry["state"] == "waiting"])
