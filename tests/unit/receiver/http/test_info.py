"""A receiver's description of itself."""

import asyncio
import shutil
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import SignedRequest, new_nonce, sign
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import SharedEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.info import ReceiverInfoPage
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.engines import FakeEngine
from support.receiver.in_process import Start

_SECRET = "s" * 32


async def info_of(start: Start, **settings: Any) -> dict[str, Any]:
    """Return the description of a receiver with some settings."""
    async with start(**settings) as receiver:
        response = await receiver.client.get("/info")
    assert 200 == response.status_code
    found: dict[str, Any] = response.json()
    return found


async def test_the_engine_is_described_as_images_are(start: Start) -> None:
    """So that a sender can compare the platforms."""
    expected = {
        "name": "Docker Engine",
        "version": "0.0.0-fake",
        "store": "memory",
        "os": "linux",
        "architecture": "amd64",
        "variant": None,
    }
    found = await info_of(start)
    assert (expected, None) == (found["engine"], found["engine_error"])


async def test_limits_and_version_are_described(start: Start) -> None:
    """The largest package, whether containers are started, and the version."""
    found = await info_of(start, max_package_size_gb=0.5, run=True)
    assert (500_000_000, True) == (found["max_package_bytes"], found["will_run"])
    assert version("omninode-deployment-sender") == found["version"]


async def test_the_versions_of_the_protocol_are_listed(start: Start) -> None:
    """So that a sender knows them before it sends anything."""
    assert [1, 2] == (await info_of(start))["protocol_versions"]


async def test_the_time_is_that_of_the_receivers_clock(start: Start) -> None:
    """In UTC."""
    before = time.time()
    stamp = datetime.fromisoformat((await info_of(start))["time"])
    assert "UTC" == stamp.tzname()
    assert before - 0.001 <= stamp.timestamp() <= time.time()


async def test_free_space_is_that_of_the_stores_disk(start: Start, tmp_path: Path) -> None:
    """As the disk reports it."""
    with_space = (await info_of(start))["free_bytes"]
    assert 0 < with_space <= shutil.disk_usage(tmp_path).total


async def test_an_unavailable_engine_is_reported(start: Start, engine: FakeEngine) -> None:
    """With the reason, and the rest of the description is there."""
    engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=3)
    found = await info_of(start)
    assert (None, "not there") == (found["engine"], found["engine_error"])
    assert found["free_bytes"] > 0


async def test_an_engine_that_hangs_delays_no_response(tmp_path: Path, workers: ThreadPool, engine: FakeEngine) -> None:
    """It is reported not to respond."""

    async def open_engine() -> ContainerEngine:
        return engine

    engine.hold.clear()
    settings = await asyncio.to_thread(ReceiverSettings, store=tmp_path)
    opened = SharedEngine(open_engine)
    page = ReceiverInfoPage(
        ReceiverState(settings, workers, Deployments(tmp_path, workers)), opened, "1", engine_seconds=0.05
    )
    found = await page.current()
    await opened.close()
    assert (None, "the engine has not responded within 0.05 s") == (found.engine, found.engine_error)


async def test_it_is_shown_to_signed_requests_only(start: Start) -> None:
    """Where the receiver has keys."""
    async with start(signing_keys=[f"k1:{_SECRET}"]) as receiver:
        assert 401 == (await receiver.client.get("/info")).status_code
        request = SignedRequest.for_get(httpx.URL(receiver.url).netloc.decode(), "/info")
        header = sign("k1", _SECRET.encode(), request, now=int(time.time()), nonce=new_nonce())
        response = await receiver.client.get("/info", headers={"Authorization": header})
    assert 200 == response.status_code
