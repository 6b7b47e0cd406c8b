"""The records of services on disk."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import StorageError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.service_records import (
    ServiceRecord,
    ServiceRecords,
    Start,
)

START = Start(token="t", deployment_id="d", image_id="sha256:1", name="hello", limits="l", container_id="c")
RECORD = ServiceRecord(name="hello", current=START, lost=("x",), volumes={"/data": "v"})

# Written by the last version of the receiver whose records had no schema number.
WITHOUT_SCHEMA = (
    '{"name":"teamX2fhello","current":{"token":"44444444444444444444444444444444","deployment_id":'
    '"5d1c6c55-93a4-4f0b-8f0e-2f2b8a4b7a10","image_id":'
    '"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"teamX2fhello","limits":'
    '"ContainerLimits(memory_bytes=512000000, cpus=None, pids=512, log_file_bytes=10000000, log_files=3)",'
    '"container_id":"3333333333333333333333333333333333333333333333333333333333333333","stops_current":false},'
    '"next":null,"previous":null,"lost":["55555555555555555555555555555555"],"volumes":{"/data":"v"}}'
)


async def test_a_record_survives_a_restart(tmp_path: Path, workers: ThreadPool) -> None:
    """With all its fields."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    again = ServiceRecords(tmp_path, workers)

    assert (["hello"], RECORD) == (await again.names(), await again.get("hello"))


async def test_a_name_without_a_record_has_an_empty_one(tmp_path: Path, workers: ThreadPool) -> None:
    """And no file is created for it."""
    records = ServiceRecords(tmp_path, workers)

    assert ServiceRecord(name="hello") == await records.get("hello")
    assert [] == await records.names()
    assert not (tmp_path / "services").exists()


async def test_names_that_differ_in_case_have_two_files(tmp_path: Path, workers: ThreadPool) -> None:
    """Also on a file system that ignores case."""
    records = ServiceRecords(tmp_path, workers)
    for name in ("aX2fb", "ax2fb"):
        await records.write(ServiceRecord(name=name))

    assert 2 == len({path.name.lower() for path in (tmp_path / "services").iterdir()})


async def test_records_are_private_to_their_user(tmp_path: Path, workers: ThreadPool) -> None:
    """They decide which containers this receiver may remove."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    (path,) = (tmp_path / "services").iterdir()

    assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))


async def test_a_write_that_the_disk_refuses_changes_nothing(tmp_path: Path, workers: ThreadPool) -> None:
    """The record is as it was before."""
    records = ServiceRecords(tmp_path, workers)
    await records.write(RECORD)
    folder = tmp_path / "services"
    await asyncio.to_thread(folder.rename, tmp_path / "elsewhere")
    await asyncio.to_thread(folder.write_bytes, b"")
    with pytest.raises(StorageError, match="cannot write"):
        await records.write(RECORD.model_copy(update={"current": None}))

    assert RECORD == await records.get("hello")


async def test_a_record_without_a_schema_number_is_read(tmp_path: Path, workers: ThreadPool) -> None:
    """Earlier versions of the receiver wrote none; the next write adds it."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "x.json").write_text(WITHOUT_SCHEMA)
    record = await ServiceRecords(tmp_path, workers).get("teamX2fhello")

    assert ({"3" * 64}, ("5" * 32,), {"/data": "v"}) == (record.container_ids, record.lost, record.volumes)
    assert json.loads(WITHOUT_SCHEMA) | {"schema_version": 1} == json.loads(record.model_dump_json())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is not the record of a service"),
        ('{"schema_version": 2}', "a newer version of the receiver wrote it"),
    ],
)
async def test_an_unreadable_record_is_ignored(
    tmp_path: Path, workers: ThreadPool, caplog: pytest.LogCaptureFixture, content: str, reason: str
) -> None:
    """Its container is then not known to be this receiver's."""
    await ServiceRecords(tmp_path, workers).write(RECORD)
    (path,) = (tmp_path / "services").iterdir()
    await asyncio.to_thread(path.write_text, content)

    assert [] == await ServiceRecords(tmp_path, workers).names()
    assert f"{path} is ignored, and its container is not touched: {reason}" in caplog.text


def test_a_record_knows_all_its_containers() -> None:
    """Whether they run, are being started or are to be removed."""
    new, old = START.model_copy(update={"container_id": None}), START.model_copy(update={"container_id": "o"})

    assert {"c", "o"} == RECORD.model_copy(update={"next": new, "previous": old}).container_ids
