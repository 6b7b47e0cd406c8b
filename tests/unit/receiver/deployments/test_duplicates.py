"""Packages that arrive again, over real TCP."""

import shutil
from collections.abc import Mapping
from operator import attrgetter
from typing import Any
from uuid import uuid4

import pytest

from support.archives.archives import image_archive, layer, sha256
from support.receiver.in_process import Running, Start


async def test_an_older_package_is_loaded_again_when_it_arrives_again(start: Start, package: bytes) -> None:
    """That is how one goes back to it; the newer one was replaced then."""
    package_id = str(uuid4())
    newer = image_archive(layers=[layer(number=b"2")])
    async with start() as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        second = (await receiver.upload(newer)).json()
        await receiver.finished(second["deployment_id"])
        assert [sha256(layer(number=b"2"))] == await layers_of(receiver, "hello:1.0")
        again = await receiver.upload(package, package_id=package_id)
        assert (again.status_code, again.json()["status"]) == (200, "received")
        await receiver.finished(first["deployment_id"])
        assert [sha256(layer())] == await layers_of(receiver, "hello:1.0")
        assert await statuses(receiver, first, second) == ["loaded", "replaced"]


async def layers_of(receiver: Running, reference: str) -> list[str]:
    """Return the SHA-256 of each layer that the engine has under a name."""
    facts = await receiver.engine.inspect(reference)
    return [] if facts is None else [digest.removeprefix("sha256:") for digest in facts.diff_ids]


async def statuses(receiver: Running, *receipts: Mapping[str, Any]) -> list[str]:
    """Ask for the status of each deployment."""
    urls = (f"/deployments/{receipt['deployment_id']}" for receipt in receipts)
    return [(await receiver.client.get(url)).json()["status"] for url in urls]


@pytest.mark.parametrize("tag", ["1.0", "2.0"])
async def test_an_older_package_is_started_again_when_it_arrives_again(start: Start, package: bytes, tag: str) -> None:
    """Whether the newer one has its tag or another; the receipt does not say `running` before it does."""
    package_id = str(uuid4())
    newer = image_archive(reference=f"hello:{tag}", layers=[layer(number=b"2")])
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        state = await receiver.finished(first["deployment_id"])
        second = (await receiver.upload(newer, image_tag=tag)).json()
        await receiver.finished(second["deployment_id"])
        assert await statuses(receiver, first, second) == ["replaced", "running"]
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "received"}
        back = await receiver.finished(first["deployment_id"])
        assert await statuses(receiver, first, second) == ["running", "replaced"]
    images = [one.spec.image_id for one in receiver.engine.runtime.containers.values() if one.spec]
    assert images == [state["image_id"]] == [back["image_id"]]
    assert back["container_id"] == receiver.engine.runtime.named("hello").facts.container_id != state["container_id"]


@pytest.mark.parametrize("what", ["runtime.containers", "images"])
async def test_what_was_removed_by_hand_is_deployed_again(start: Start, package: bytes, what: str) -> None:
    """The container, or the image with its name."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        attrgetter(what)(receiver.engine).clear()
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "received"}
        state = await receiver.finished(first["deployment_id"])
    assert state["status"] == "running"
    assert ("hello:1.0" in receiver.engine.images, state["container_id"]) == (
        True,
        receiver.engine.runtime.named("hello").facts.container_id,
    )


async def test_a_package_that_runs_and_arrives_again_goes_on(start: Start, package: bytes) -> None:
    """In its container: nothing is loaded or started twice."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "running"}
    assert (receiver.engine.calls.count("load"), receiver.engine.calls.count("run")) == (1, 1)


async def test_a_loaded_package_that_arrives_again_is_started_where_that_is_wanted_today(
    start: Start, package: bytes
) -> None:
    """The receiver was started with `--run` since; the image is there, and not loaded again."""
    package_id = str(uuid4())
    async with start() as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        assert (await receiver.finished(first["deployment_id"]))["will_run"] is False
    async with start(run=True) as receiver:
        assert await statuses(receiver, first) == ["loaded"]
        await receiver.upload(package, package_id=package_id)
        state = await receiver.finished(first["deployment_id"])
    assert (state["status"], state["will_run"]) == ("running", True)
    assert receiver.engine.calls.count("load") == 1


async def test_a_package_whose_folder_was_removed_is_kept_anew(start: Start, package: bytes) -> None:
    """Without a restart; the deployment that was there before was replaced."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        shutil.rmtree(receiver.store / "packages" / first["deployment_id"])
        anew = await receiver.upload(package, package_id=package_id)
        assert anew.status_code == 201
        assert (await receiver.finished(anew.json()["deployment_id"]))["status"] == "running"
        assert receiver.packages() == [anew.json()["deployment_id"]]
        assert await statuses(receiver, first) == ["replaced"]


async def test_an_older_package_that_arrives_again_while_it_waits_has_the_last_word(
    start: Start, package: bytes
) -> None:
    """Both are under way: what was asked for last wins."""
    package_id = str(uuid4())
    newer = image_archive(layers=[layer(number=b"2")])
    async with start(run=True) as receiver:
        receiver.engine.hold.clear()
        first = (await receiver.upload(package, package_id=package_id)).json()
        second = (await receiver.upload(newer)).json()
        again = await receiver.upload(package, package_id=package_id)
        assert again.json()["deployment_id"] == first["deployment_id"]
        receiver.engine.hold.set()
        await receiver.finished(first["deployment_id"])
        await receiver.finished(second["deployment_id"])
        assert await statuses(receiver, first, second) == ["running", "replaced"]
