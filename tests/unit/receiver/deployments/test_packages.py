"""The receiver's checks of packages: names that it keeps for itself, and threads that stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings


@pytest.fixture
async def packages(tmp_path: Path) -> AsyncIterator[Packages]:
    """Return the packages of a receiver that takes any size."""
    workers = ThreadPool(2)
    settings = ReceiverSettings.model_validate({"max_package_size_gb": 1_000_000})
    yield Packages(ReceiverState(settings, workers, Deployments(tmp_path, workers)))
    await workers.close()


def _deployment(name: str) -> Deployment:
    fields = UploadFields(package_id=str(uuid4()), container_name=name, image_tag="1.0", checksum="0" * 64)
    return Deployment.new("x", fields, size_bytes=1)


@pytest.mark.parametrize("name", ["incoming.invalid/deployment", "INCOMING.invalid/x"])
async def test_a_name_that_the_receiver_keeps_for_itself_is_refused(packages: Packages, name: str) -> None:
    """It would be taken for one of a load that was interrupted."""
    with pytest.raises(InvalidInputError, match=r"keeps names of incoming\.invalid for itself"):
        await packages.check(Path("/dev/null"), _deployment(name))


async def test_a_cancelled_check_stops_its_thread(packages: Packages) -> None:
    """Also while it reads a file without an end; its slot is free again then."""
    for _ in range(3):  # more than there are slots
        check = asyncio.create_task(packages.check(Path("/dev/zero"), _deployment("hello")))
        await asyncio.sleep(0)
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
