"""What is kept of deployments."""

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployment, Deployments


def fields(tag: str = "1.0") -> UploadFields:
    """The fields of an upload."""
    return UploadFields(
        package_id=str(uuid4()),
        checksum="0" * 64,
        container_name="hello",
        image_tag=tag,
        image_id=f"sha256:{'1' * 64}",
        correlation_id="deploy-001",
    )


async def kept(deployments: Deployments, tag: str = "1.0") -> Deployment:
    """Keep a package."""
    staged = await deployments.begin(str(uuid4()))
    deployment = Deployment.new(staged.entry_id, fields(tag), size_bytes=4)
    await asyncio.to_thread(staged.file.write, b"data")
    return await deployments.keep(staged, deployment)


@pytest.fixture
async def deployments(tmp_path: Path, workers: ThreadPool) -> Deployments:
    """An empty store."""
    made = Deployments(tmp_path, workers)
    await made.open()
    return made


async def test_a_kept_package_is_found(deployments: Deployments) -> None:
    """By its deployment, by its package, and on the disk."""
    deployment = await kept(deployments)
    assert deployments.get(deployment.deployment_id) == deployment
    assert deployments.of_package(deployment.package_id) == deployment
    assert deployments.package_file(deployment).read_bytes() == b"data"


async def test_nothing_is_found_of_what_is_not_there(deployments: Deployments) -> None:
    """By neither name."""
    assert deployments.get("x") is None
    assert deployments.of_package("x") is None


async def test_changes_outlive_a_restart(deployments: Deployments, tmp_path: Path, workers: ThreadPool) -> None:
    """They are in the document beside the package."""
    deployment = await kept(deployments)
    changed = await deployments.change(deployment.deployment_id, status="loaded", image_id="sha256:2")
    again = Deployments(tmp_path, workers)
    await again.open()
    assert again.get(deployment.deployment_id) == changed
    assert changed.updated_at > deployment.updated_at


async def test_uploads_that_never_ended_are_swept(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """Once their owner is gone."""
    staged = await deployments.begin("abandoned")
    await asyncio.to_thread(os.close, staged._lock)
    await asyncio.to_thread(staged.file.close)
    await Deployments(tmp_path, workers).open()
    assert not (tmp_path / "staging" / "abandoned").exists()


async def test_a_document_that_cannot_be_read_is_left_alone(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    """And told in the log."""
    deployment = await kept(deployments)
    document = deployments.package_file(deployment).with_name("deployment.json")
    document.write_text("{")
    again = Deployments(tmp_path, workers)
    await again.open()
    assert again.newest(10) == []
    assert f"{document} is no deployment's document" in caplog.text


async def test_a_disk_that_refuses_a_change_does_not_lose_it(
    deployments: Deployments, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in memory, and in the log."""
    deployment = await kept(deployments)
    folder = deployments.package_file(deployment).parent
    folder.rename(folder.with_name("elsewhere"))
    await deployments.change(deployment.deployment_id, status="loading")
    changed = deployments.get(deployment.deployment_id)
    assert changed is not None
    assert changed.status == "loading"
    assert "its state is not on the disk" in caplog.text


async def test_the_newest_come_first(deployments: Deployments) -> None:
    """As many as asked for."""
    first, second, third = [await kept(deployments) for _ in range(3)]
    assert deployments.newest(2) == [third, second]
    assert deployments.newest(9) == [third, second, first]


async def test_unfinished_ones_come_in_their_order(deployments: Deployments) -> None:
    """Of arrival; a loaded image is unfinished while its container is to be started."""
    ids = [(await kept(deployments)).deployment_id for _ in range(7)]
    statuses = ["loading", "loaded", "failed", "running", "loaded", "received", "replaced"]
    for deployment_id, status in reversed(list(zip(ids, statuses, strict=True))):
        await deployments.change(deployment_id, status=status, start_pending=deployment_id == ids[4])
    assert [one.deployment_id for one in deployments.unfinished()] == [ids[0], ids[4], ids[5]]


async def test_the_order_of_arrival_outlives_a_restart(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """What comes next is later than all that there is."""
    first = await kept(deployments)
    again = Deployments(tmp_path, workers)
    await again.open()
    second = await kept(again)
    assert second.sequence > first.sequence
    assert [again.is_last(one) for one in (first, second)] == [False, True]


async def test_an_image_is_loaded_over_by_a_later_one_of_its_name_and_tag(deployments: Deployments) -> None:
    """Once that is loaded."""
    first, other, second = await kept(deployments), await kept(deployments, "2.0"), await kept(deployments)
    assert not deployments.is_loaded_over(first)
    await deployments.change(second.deployment_id, status="loaded")
    assert [deployments.is_loaded_over(one) for one in (first, other, second)] == [True, False, False]


async def test_a_container_is_run_over_by_a_later_one_of_any_tag(deployments: Deployments) -> None:
    """Once that was started, whatever has become of it since."""
    first, second = await kept(deployments), await kept(deployments, "2.0")
    await deployments.change(second.deployment_id, status="loaded")
    assert not deployments.is_run_over(first)
    await deployments.change(second.deployment_id, status="failed", container_id="c")
    assert [deployments.is_run_over(one) for one in (first, second)] == [True, False]


async def test_what_is_loaded_or_started_takes_the_place_of_others(deployments: Deployments) -> None:
    """A loaded image that of its name and tag, a started container also that of every container of its name."""
    loaded, running, other = [await kept(deployments, tag) for tag in ("1.0", "1.0", "2.0")]
    await deployments.change(loaded.deployment_id, status="loaded")
    await deployments.change(running.deployment_id, status="running")
    other = await deployments.change(other.deployment_id, status="loaded")
    new = await deployments.change((await kept(deployments)).deployment_id, status="loaded", start_pending=True)
    assert [one.deployment_id for one in deployments.replaced_by(new)] == [loaded.deployment_id]
    new = await deployments.change(new.deployment_id, status="running", start_pending=False)
    assert {one.deployment_id for one in deployments.replaced_by(new)} == {loaded.deployment_id, running.deployment_id}


async def test_records_that_a_kill_has_left_behind_are_found(deployments: Deployments) -> None:
    """Only the latest of a name runs, and only the latest of a name and tag is loaded."""
    old, new, loaded, other = [await kept(deployments, tag) for tag in ("1.0", "2.0", "1.0", "3.0")]
    for one, status in ((old, "running"), (new, "running"), (loaded, "loaded"), (other, "loaded")):
        await deployments.change(one.deployment_id, status=status)
    assert [one.deployment_id for one in deployments.overtaken()] == [old.deployment_id]
    last = await kept(deployments)
    await deployments.change(last.deployment_id, status="loaded")
    assert [one.deployment_id for one in deployments.overtaken()] == [loaded.deployment_id, old.deployment_id]


async def test_a_package_that_was_removed_or_cut_is_missed(deployments: Deployments) -> None:
    """By hand, or by the disk."""
    deployment = await kept(deployments)
    assert await asyncio.to_thread(deployments.has_package, deployment)
    path = deployments.package_file(deployment)
    path.write_bytes(b"dat")
    assert not await asyncio.to_thread(deployments.has_package, deployment)
    path.unlink()
    assert not await asyncio.to_thread(deployments.has_package, deployment)


async def test_changes_at_once_leave_the_last_one_on_the_disk(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """Whoever makes them."""
    deployment = await kept(deployments)
    changes = (deployments.change(deployment.deployment_id, container_id=str(number)) for number in range(20))
    await asyncio.gather(*changes)
    again = Deployments(tmp_path, workers)
    await again.open()
    found = again.get(deployment.deployment_id)
    assert found is not None
    assert found.container_id == "19"


async def test_they_are_counted_by_status(deployments: Deployments) -> None:
    """For the metrics; a status that none has is 0 and not absent."""
    await kept(deployments)
    await kept(deployments)
    expected = {"received": 2, "loading": 0, "loaded": 0, "running": 0, "replaced": 0, "failed": 0}
    assert deployments.count() == expected


@pytest.mark.parametrize(
    ("status", "run", "will_run"),
    [
        ("received", True, True),
        ("received", False, False),
        ("loaded", True, False),
        ("running", False, True),
        ("replaced", True, False),
        ("failed", True, False),
    ],
)
async def test_whether_it_will_run_is_todays_setting_until_it_has_ended(
    deployments: Deployments, *, status: str, run: bool, will_run: bool
) -> None:
    """And then what was done."""
    deployment = await deployments.change((await kept(deployments)).deployment_id, status=status)
    assert deployment.body(run=run).will_run is will_run


async def test_the_state_is_told_without_what_is_ours(deployments: Deployments) -> None:
    """As the protocol has it."""
    deployment = await kept(deployments)
    assert deployment.body(run=False).model_dump(exclude_none=True) == {
        "deployment_id": deployment.deployment_id,
        "status": "received",
        "will_run": False,
        "package_id": deployment.package_id,
        "checksum": "0" * 64,
        "checksum_verified": True,
        "container_name": "hello",
        "image_tag": "1.0",
        "correlation_id": "deploy-001",
        "received_at": deployment.received_at,
        "updated_at": deployment.updated_at,
        "warnings": (),
    }
