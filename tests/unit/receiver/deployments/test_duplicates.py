"""Packages that arrive again, over real TCP and in a store alone."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, ContainerLimits, ContainerSpec
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.deployer import Deployer
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.duplicates import (
    DuplicateUploads,
    PackageConflictError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import SharedEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer, sha256
from support.engine.engines import FakeEngine
from support.receiver.in_process import Running, Start
from support.receiver.records import keep


async def test_an_older_package_is_loaded_again_when_it_arrives_again(start: Start, package: bytes) -> None:
    """So an operator returns to it; the newer one is replaced."""
    package_id = str(uuid4())
    newer = image_archive(layers=[layer(number=b"2")])
    async with start() as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        second = (await receiver.upload(newer)).json()
        await receiver.finished(second["deployment_id"])
        assert [sha256(layer(number=b"2"))] == await layers_of(receiver, "hello:1.0")
        again = await receiver.upload(package, package_id=package_id)
        assert (200, "received") == (again.status_code, again.json()["status"])
        await receiver.finished(first["deployment_id"])
        assert [sha256(layer())] == await layers_of(receiver, "hello:1.0")
        assert ["loaded", "replaced"] == await statuses(receiver, first, second)


async def layers_of(receiver: Running, reference: str) -> list[str]:
    """Return the SHA-256 of each layer of the image that a name leads to."""
    facts = await receiver.engine.inspect(reference)
    return [] if facts is None else [digest.removeprefix("sha256:") for digest in facts.diff_ids]


async def statuses(receiver: Running, *receipts: Mapping[str, Any]) -> list[str]:
    """Request the status of each deployment."""
    urls = (f"/deployments/{receipt['deployment_id']}" for receipt in receipts)
    return [(await receiver.client.get(url)).json()["status"] for url in urls]


@pytest.mark.parametrize("tag", ["1.0", "2.0"])
async def test_an_older_package_is_started_again_when_it_arrives_again(start: Start, package: bytes, tag: str) -> None:
    """Whether the newer one has the same tag or another; the receipt says `running` only once it runs."""
    package_id = str(uuid4())
    newer = image_archive(reference=f"hello:{tag}", layers=[layer(number=b"2")])
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        state = await receiver.finished(first["deployment_id"])
        second = (await receiver.upload(newer, image_tag=tag)).json()
        await receiver.finished(second["deployment_id"])
        assert ["replaced", "running"] == await statuses(receiver, first, second)
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "received"}
        back = await receiver.finished(first["deployment_id"])
        assert ["running", "replaced"] == await statuses(receiver, first, second)
    images = [one.spec.image_id for one in receiver.engine.runtime.containers.values() if one.spec]
    assert images == [state["image_id"]] == [back["image_id"]]
    assert back["container_id"] == receiver.engine.runtime.named("hello").facts.container_id != state["container_id"]


@pytest.mark.parametrize("what", ["runtime.containers", "images"])
async def test_a_package_is_deployed_again_after_a_removal_by_hand(start: Start, package: bytes, what: str) -> None:
    """Of the container, or of the image."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        attrgetter(what)(receiver.engine).clear()
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "received"}
        state = await receiver.finished(first["deployment_id"])
    assert "running" == state["status"]
    assert ("hello:1.0" in receiver.engine.images, state["container_id"]) == (
        True,
        receiver.engine.runtime.named("hello").facts.container_id,
    )


async def test_a_running_package_that_arrives_again_keeps_its_container(start: Start, package: bytes) -> None:
    """Nothing is loaded or started twice."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first | {"status": "running"}
    assert (1, 1) == (receiver.engine.calls.count("load"), receiver.engine.calls.count("run"))


async def test_a_loaded_package_that_arrives_again_is_started_by_the_current_setting(
    start: Start, package: bytes
) -> None:
    """The receiver was started with `--run` since; the image is not loaded again."""
    package_id = str(uuid4())
    async with start() as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        assert (await receiver.finished(first["deployment_id"]))["will_run"] is False
    async with start(run=True) as receiver:
        assert ["loaded"] == await statuses(receiver, first)
        await receiver.upload(package, package_id=package_id)
        state = await receiver.finished(first["deployment_id"])
    assert ("running", True) == (state["status"], state["will_run"])
    assert 1 == receiver.engine.calls.count("load")


async def test_a_package_whose_folder_was_removed_is_stored_again(start: Start, package: bytes) -> None:
    """Without a restart of the receiver; the earlier deployment is replaced."""
    package_id = str(uuid4())
    async with start(run=True) as receiver:
        first = (await receiver.upload(package, package_id=package_id)).json()
        await receiver.finished(first["deployment_id"])
        shutil.rmtree(receiver.store / "packages" / first["deployment_id"])
        again = await receiver.upload(package, package_id=package_id)
        assert 201 == again.status_code
        assert "running" == (await receiver.finished(again.json()["deployment_id"]))["status"]
        assert receiver.packages() == [again.json()["deployment_id"]]
        assert ["replaced"] == await statuses(receiver, first)


async def test_an_older_package_that_arrives_again_while_it_waits_takes_precedence(
    start: Start, package: bytes
) -> None:
    """Both are under way: the latest upload counts."""
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
        assert ["running", "replaced"] == await statuses(receiver, first, second)


class House:
    """A store, an engine, and the decision about duplicates."""

    def __init__(self, state: ReceiverState, engine: FakeEngine) -> None:
        self.engine = engine
        self.deployments = state.deployments
        self.shared_engine = SharedEngine(self._open)
        self.deployer = Deployer(state, Packages(state), self.shared_engine)
        self.duplicates = DuplicateUploads(state, self.deployer, self.shared_engine, engine_seconds=0.05)

    async def _open(self) -> ContainerEngine:
        return self.engine

    async def deployed(self, *, run: bool = False) -> Deployment:
        """Deploy a package as a receiver would."""
        deployment = await keep(self.deployments)
        await self.engine.load(iter([image_archive(reference=deployment.reference)]))
        facts = await self.engine.inspect(deployment.reference)
        assert facts is not None
        changes = {"status": "loaded", "loaded_image_id": facts.image_id}
        if run:
            limits = ContainerLimits(memory_bytes=1, cpus=None, pids=1, log_file_bytes=1, log_files=1)
            container_id = await self.engine.runtime.create(ContainerSpec(facts.image_id, "hello", {}, limits))
            await self.engine.runtime.start(container_id)
            changes |= {"status": "running", "container_id": container_id}
        return await self.deployments.change(deployment.deployment_id, **changes)


@contextlib.asynccontextmanager
async def open_house(folder: Path, workers: ThreadPool, *, run: bool) -> AsyncIterator[House]:
    """Open one with an empty store."""
    deployments = Deployments(folder, workers)
    await deployments.open()
    settings = await asyncio.to_thread(ReceiverSettings, store=folder, run=run)
    house = House(ReceiverState(settings, workers, deployments), FakeEngine())
    yield house
    await house.deployer.close()
    await house.shared_engine.close()


@pytest.fixture
async def house(tmp_path: Path, workers: ThreadPool) -> AsyncIterator[House]:
    """Return one of a receiver that starts no containers."""
    async with open_house(tmp_path, workers, run=False) as made:
        yield made


async def test_a_loaded_image_is_in_effect_where_nothing_is_started(house: House) -> None:
    """As long as the engine has it."""
    loaded = await house.deployed()
    before = await house.duplicates.is_in_effect(loaded)
    house.engine.images.clear()

    assert (True, False) == (before, await house.duplicates.is_in_effect(loaded))


async def test_a_loaded_image_is_not_in_effect_where_a_container_is_to_be_started(
    tmp_path: Path, workers: ThreadPool
) -> None:
    """Its container is missing."""
    async with open_house(tmp_path, workers, run=True) as house:
        assert not await house.duplicates.is_in_effect(await house.deployed())


async def test_a_container_is_in_effect_while_it_runs(house: House) -> None:
    """Not once it is stopped, or its image has lost its name."""
    running = await house.deployed(run=True)
    assert running.container_id is not None
    found = [await house.duplicates.is_in_effect(running)]
    house.engine.runtime.change(running.container_id, status="exited")
    found.append(await house.duplicates.is_in_effect(running))
    house.engine.runtime.change(running.container_id, status="running")
    house.engine.images.clear()
    found.append(await house.duplicates.is_in_effect(running))

    assert [True, False, False] == found


@pytest.mark.parametrize("status", ["replaced", "failed"])
async def test_a_deployment_that_was_replaced_or_failed_is_not_in_effect(house: House, status: str) -> None:
    """Whatever the engine has."""
    deployment = await house.deployments.change((await house.deployed()).deployment_id, status=status)

    assert not await house.duplicates.is_in_effect(deployment)


async def test_nothing_is_in_effect_without_a_response_of_the_engine(house: House) -> None:
    """Because it is away, or does not respond in time."""
    loaded = await house.deployed()
    house.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE)
    assert not await house.duplicates.is_in_effect(loaded)
    house.engine.hold.clear()
    assert not await house.duplicates.is_in_effect(loaded)


async def test_another_package_with_the_same_id_is_a_conflict(house: House) -> None:
    """The message says what to do."""
    known = (await house.deployed()).identity
    fields = UploadFields(
        package_id=known.package_id, checksum="1" * 64, container_name=known.container_name, image_tag=known.image_tag
    )
    with pytest.raises(PackageConflictError, match="is here already, with another checksum") as caught:
        await house.duplicates.find(fields)

    assert "Package the image again" in caught.value.recovery


async def test_a_damaged_package_is_to_be_stored_again(house: House) -> None:
    """Its deployment has failed for that reason."""
    known = await house.deployed()
    await house.deployments.change(known.deployment_id, status="failed", error_code="CHECKSUM_MISMATCH")
    fields = UploadFields(
        package_id=known.identity.package_id, checksum="0" * 64, container_name="hello", image_tag="1.0"
    )

    assert await house.duplicates.find(fields) is None
