"""What is kept of deployments."""

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.upload import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments import Deployment, Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.workers import Workers


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


async def kept(deployments: Deployments, tag: str = "1.0", *, will_run: bool = False) -> Deployment:
    """Keep a package."""
    staged = await deployments.begin(str(uuid4()))
    deployment = Deployment.new(staged.entry_id, fields(tag), size_bytes=4, will_run=will_run)
    await asyncio.to_thread(staged.file.write, b"data")
    await deployments.keep(staged, deployment)
    return deployment


@pytest.fixture
async def deployments(tmp_path: Path, workers: Workers) -> Deployments:
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


async def test_changes_outlive_a_restart(deployments: Deployments, tmp_path: Path, workers: Workers) -> None:
    """They are in the document beside the package."""
    deployment = await kept(deployments)
    changed = await deployments.change(deployment.deployment_id, status="loaded", image_id="sha256:2")
    again = Deployments(tmp_path, workers)
    await again.open()
    assert again.get(deployment.deployment_id) == changed
    assert changed.updated_at > deployment.updated_at


async def test_uploads_that_never_ended_are_swept(deployments: Deployments, tmp_path: Path, workers: Workers) -> None:
    """Once their owner is gone."""
    staged = await deployments.begin("abandoned")
    await asyncio.to_thread(os.close, staged._lock)
    await asyncio.to_thread(staged.file.close)
    await Deployments(tmp_path, workers).open()
    assert not (tmp_path / "staging" / "abandoned").exists()


async def test_a_document_that_cannot_be_read_is_left_alone(
    deployments: Deployments, tmp_path: Path, workers: Workers, caplog: pytest.LogCaptureFixture
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


async def test_unfinished_ones_are_told_in_their_order(deployments: Deployments) -> None:
    """What was begun first is first; a loaded image is unfinished while its container is to be started."""
    ids = [(await kept(deployments, str(number), will_run=number == 4)).deployment_id for number in range(6)]
    for deployment_id, status in zip(
        ids, ["loading", "loaded", "failed", "running", "loaded", "received"], strict=True
    ):
        await deployments.change(deployment_id, status=status)
    assert [one.deployment_id for one in deployments.unfinished()] == [ids[0], ids[4], ids[5]]


async def test_an_image_is_superseded_by_a_later_one_of_its_name(deployments: Deployments) -> None:
    """Once that is loaded, and not by another name's."""
    first, other, second = await kept(deployments), await kept(deployments, "2.0"), await kept(deployments)
    first = await deployments.change(first.deployment_id, status="loaded")
    other = await deployments.change(other.deployment_id, status="loaded")
    assert not deployments.superseded(first)
    second = await deployments.change(second.deployment_id, status="running")
    assert [deployments.superseded(one) for one in (first, other, second)] == [True, False, False]


async def test_they_are_counted_by_status(deployments: Deployments) -> None:
    """For the metrics."""
    await kept(deployments)
    await kept(deployments)
    assert deployments.count() == {"received": 2}


async def test_the_state_is_told_without_what_is_ours(deployments: Deployments) -> None:
    """As the protocol has it."""
    deployment = await kept(deployments)
    assert deployment.body().model_dump(exclude_none=True) == {
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
