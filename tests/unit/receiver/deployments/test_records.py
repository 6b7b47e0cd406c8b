"""All deployments of a store."""

import asyncio
import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from support.receiver.records import keep


async def opened(store: Path, workers: ThreadPool) -> Deployments:
    """Open a store, as a receiver does at its start."""
    made = Deployments(store, workers)
    await made.open()
    return made


@pytest.fixture
async def deployments(tmp_path: Path, workers: ThreadPool) -> Deployments:
    """Return those of an empty store."""
    return await opened(tmp_path, workers)


async def test_a_kept_package_is_found(deployments: Deployments) -> None:
    """By its deployment, by its package, and on disk."""
    deployment = await keep(deployments, b"data")

    assert deployment == deployments.get(deployment.deployment_id)
    assert deployment == deployments.of_package(deployment.identity.package_id)
    assert b"data" == deployments.package_file(deployment).read_bytes()


async def test_an_unknown_deployment_is_not_found(deployments: Deployments) -> None:
    """By neither id."""
    assert (None, None) == (deployments.get("x"), deployments.of_package("x"))


async def test_changes_survive_a_restart(deployments: Deployments, tmp_path: Path, workers: ThreadPool) -> None:
    """They are in the document beside the package."""
    deployment = await keep(deployments)
    changed = await deployments.change(deployment.deployment_id, status="loaded", loaded_image_id="sha256:2")

    assert changed == (await opened(tmp_path, workers)).get(deployment.deployment_id)
    assert changed.updated_at > deployment.updated_at


async def test_incomplete_uploads_are_removed(deployments: Deployments, tmp_path: Path, workers: ThreadPool) -> None:
    """Once the process that received them has ended."""
    staged = await deployments.begin("abandoned")
    await asyncio.to_thread(os.close, staged._lock)
    await asyncio.to_thread(staged.file.close)
    await opened(tmp_path, workers)

    assert not (tmp_path / "staging" / "abandoned").exists()


@pytest.mark.parametrize(
    "case",
    [
        ("{", "it is not the document of a deployment"),
        ('{"schema_version": 2}', "a newer version of the receiver wrote it (schema 2; this version reads up to 1)"),
    ],
)
async def test_an_unreadable_document_is_ignored(
    deployments: Deployments,
    tmp_path: Path,
    workers: ThreadPool,
    caplog: pytest.LogCaptureFixture,
    case: tuple[str, str],
) -> None:
    """The log says why, and the file is not changed."""
    content, reason = case
    document = deployments.package_file(await keep(deployments)).with_name("deployment.json")
    document.write_text(content)

    assert [] == (await opened(tmp_path, workers)).newest(10)
    assert f"{document} is ignored: {reason}" in caplog.text
    assert content == document.read_text()


async def test_a_change_that_the_disk_refuses_stays_in_memory(
    deployments: Deployments, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that it was not written."""
    deployment = await keep(deployments)
    folder = deployments.package_file(deployment).parent
    folder.rename(folder.with_name("elsewhere"))
    await deployments.change(deployment.deployment_id, status="loading")
    changed = deployments.get(deployment.deployment_id)

    assert changed is not None
    assert "loading" == changed.status
    assert "its state could not be written" in caplog.text


async def test_the_newest_come_first(deployments: Deployments) -> None:
    """At most as many as requested."""
    first, second, third = [await keep(deployments) for _ in range(3)]

    assert [third, second] == deployments.newest(2)
    assert [third, second, first] == deployments.newest(9)


async def test_unfinished_deployments_come_in_the_order_of_arrival(deployments: Deployments) -> None:
    """A loaded image is unfinished while its container is to be started."""
    ids = [(await keep(deployments)).deployment_id for _ in range(7)]
    statuses = ["loading", "loaded", "failed", "running", "loaded", "received", "replaced"]
    for deployment_id, status in reversed(list(zip(ids, statuses, strict=True))):
        await deployments.change(deployment_id, status=status, start_pending=deployment_id == ids[4])

    assert [ids[0], ids[4], ids[5]] == [one.deployment_id for one in deployments.unfinished()]


async def test_the_order_of_arrival_survives_a_restart(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """A package that arrives afterwards is later than all others."""
    first = await keep(deployments)
    again = await opened(tmp_path, workers)
    second = await keep(again)

    assert second.sequence > first.sequence
    assert [False, True] == [again.is_latest(one) for one in (first, second)]


async def test_a_later_image_has_the_same_name_and_tag(deployments: Deployments) -> None:
    """From the time when it is loaded."""
    first, other, second = [await keep(deployments, image_tag=tag) for tag in ("1.0", "2.0", "1.0")]
    assert not deployments.has_later_image(first)
    await deployments.change(second.deployment_id, status="loaded")

    assert [True, False, False] == [deployments.has_later_image(one) for one in (first, other, second)]


async def test_a_later_container_may_have_any_tag(deployments: Deployments) -> None:
    """From the time when it was started, also if it has failed since."""
    first, second = await keep(deployments), await keep(deployments, image_tag="2.0")
    await deployments.change(second.deployment_id, status="loaded")
    assert not deployments.has_later_container(first)
    await deployments.change(second.deployment_id, status="failed", container_id="c")

    assert [True, False] == [deployments.has_later_container(one) for one in (first, second)]


async def test_a_loaded_image_and_a_started_container_replace_others(deployments: Deployments) -> None:
    """An image the one of its name and tag, a container also every container of its image name."""
    loaded, running, other = [await keep(deployments, image_tag=tag) for tag in ("1.0", "1.0", "2.0")]
    await deployments.change(loaded.deployment_id, status="loaded")
    await deployments.change(running.deployment_id, status="running")
    await deployments.change(other.deployment_id, status="loaded")
    new = await deployments.change((await keep(deployments)).deployment_id, status="loaded", start_pending=True)
    assert [loaded.deployment_id] == [one.deployment_id for one in deployments.replaced_by(new)]
    new = await deployments.change(new.deployment_id, status="running", start_pending=False)

    assert {loaded.deployment_id, running.deployment_id} == {one.deployment_id for one in deployments.replaced_by(new)}


async def test_records_that_a_killed_receiver_left_are_corrected_at_the_next_start(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """Only the latest of a name runs, and only the latest of a name and tag is loaded."""
    tags = {"old": "1.0", "new": "2.0", "loaded": "1.0", "other": "3.0", "last": "1.0"}
    kept = {name: await keep(deployments, image_tag=tag) for name, tag in tags.items()}
    for name, deployment in kept.items():
        status = "running" if name in {"old", "new"} else "loaded"
        await deployments.change(deployment.deployment_id, status=status, error_message="x")
    again = await opened(tmp_path, workers)

    found = {name: again.get(deployment.deployment_id) for name, deployment in kept.items()}
    assert {"old": "replaced", "new": "running", "loaded": "replaced", "other": "loaded", "last": "loaded"} == {
        name: deployment and deployment.status for name, deployment in found.items()
    }
    assert found["old"] is not None
    assert found["old"].error_message is None


async def test_a_package_that_was_removed_or_cut_is_missing(deployments: Deployments) -> None:
    """By an operator, or by the disk."""
    deployment = await keep(deployments, b"data")
    path = deployments.package_file(deployment)
    found = [await asyncio.to_thread(deployments.has_package, deployment)]
    path.write_bytes(b"dat")
    found.append(await asyncio.to_thread(deployments.has_package, deployment))
    path.unlink()
    found.append(await asyncio.to_thread(deployments.has_package, deployment))

    assert [True, False, False] == found


async def test_of_concurrent_changes_the_last_one_is_on_disk(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """In whatever order the threads write."""
    deployment = await keep(deployments)
    changes = (deployments.change(deployment.deployment_id, container_id=str(number)) for number in range(20))
    await asyncio.gather(*changes)
    found = (await opened(tmp_path, workers)).get(deployment.deployment_id)

    assert found is not None
    assert "19" == found.container_id


async def test_a_text_that_is_no_unicode_does_not_prevent_a_write(
    deployments: Deployments, tmp_path: Path, workers: ThreadPool
) -> None:
    """The name of a file may be any bytes, and may be in an error message."""
    deployment = await keep(deployments)
    await deployments.change(deployment.deployment_id, error_message="cannot read \udcff")
    found = (await opened(tmp_path, workers)).get(deployment.deployment_id)

    assert found is not None
    assert "cannot read ?" == found.error_message


async def test_deployments_are_counted_by_status(deployments: Deployments) -> None:
    """For the metrics; a status without a deployment is 0 and not absent."""
    await keep(deployments)
    await keep(deployments)

    expected = {"received": 2, "loading": 0, "loaded": 0, "running": 0, "replaced": 0, "failed": 0}
    assert expected == deployments.count()
