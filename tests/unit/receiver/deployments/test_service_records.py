"""What the receiver writes down about its containers."""

import asyncio
import stat
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.service_records import (
    ServiceRecord,
    ServiceRecords,
    Start,
)

START = Start(token="t", deployment_id="d", image_id="sha256:1", name="hello", limits="l", container_id="c")
RECORD = ServiceRecord(name="hello", current=START, lost=("x",), volumes={"/data": "v"})


async def test_a_record_outlives_a_restart(tmp_path: Path, workers: ThreadPool) -> None:
    """Whole."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    again = ServiceRecords(tmp_path, workers)

    assert (["hello"], RECORD) == (await again.names(), await again.get("hello"))


async def test_a_name_without_a_record_has_an_empty_one(tmp_path: Path, workers: ThreadPool) -> None:
    """And none is made for it."""
    records = ServiceRecords(tmp_path, workers)

    assert ServiceRecord(name="hello") == await records.get("hello")
    assert [] == await records.names()
    assert not (tmp_path / "services").exists()


async def test_names_that_differ_in_case_are_two(tmp_path: Path, workers: ThreadPool) -> None:
    """Also where the file system cannot tell them apart."""
    records = ServiceRecords(tmp_path, workers)
    for name in ("aX2fb", "ax2fb"):
        await records.write(ServiceRecord(name=name))

    assert 2 == len({path.name.lower() for path in (tmp_path / "services").iterdir()})


async def test_records_are_for_their_user_only(tmp_path: Path, workers: ThreadPool) -> None:
    """They name what is this receiver's."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    (path,) = (tmp_path / "services").iterdir()

    assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))


async def test_a_disk_that_refuses_changes_nothing(tmp_path: Path, workers: ThreadPool) -> None:
    """The record is what it was."""
    records = ServiceRecords(tmp_path, workers)
    await records.write(RECORD)
    folder = tmp_path / "services"
    await asyncio.to_thread(folder.rename, tmp_path / "elsewhere")
    await asyncio.to_thread(folder.write_bytes, b"")
    with pytest.raises(DeploymentSenderError, match="cannot write"):
        await records.write(RECORD.model_copy(update={"current": None}))

    assert RECORD == await records.get("hello")


async def test_a_record_that_cannot_be_read_is_left_alone(
    tmp_path: Path, workers: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its container is not known to be ours, then."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    (path,) = (tmp_path / "services").iterdir()
    await asyncio.to_thread(path.write_bytes, b"{")

    assert [] == await ServiceRecords(tmp_path, workers).names()
    assert f"{path} is no service's record" in caplog.text


def test_a_record_knows_every_container_of_its_own() -> None:
    """In whatever part of a start it is."""
    new, old = START.model_copy(update={"container_id": None}), START.model_copy(update={"container_id": "o"})

    assert {"c", "o"} == RECORD.model_copy(update={"next": new, "previous": old}).container_ids
