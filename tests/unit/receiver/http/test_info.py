"""What a receiver says about itself."""

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
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import Engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.info import ReceiverInfoPage
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.engines import FakeEngine
from support.receiver.in_process import Start

_SECRET = "s" * 32


async def told(start: Start, **settings: Any) -> dict[str, Any]:
    """Ask a receiver."""
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
    found = await told(start)
    assert (expected, None) == (found["engine"], found["engine_error"])


async def test_what_it_takes_and_does_is_said(start: Start) -> None:
    """The largest package, whether containers are started, and the version."""
    found = await told(start, max_package_size_gb=0.5, run=True)
    assert (500_000_000, True) == (found["max_package_bytes"], found["will_run"])
    assert version("omninode-deployment-sender") == found["version"]


async def test_the_clock_is_the_receivers(start: Start) -> None:
    """In UTC."""
    before = time.time()
    stamp = datetime.fromisoformat((await told(start))["time"])
    assert "UTC" == stamp.tzname()
    assert before - 0.001 <= stamp.timestamp() <= time.time()


async def test_free_space_is_that_of_the_stores_disk(start: Start, tmp_path: Path) -> None:
    """Not that of the root's."""
    with_space = (await told(start))["free_bytes"]
    assert 0 < with_space <= shutil.disk_usage(tmp_path).total


async def test_an_engine_that_is_away_is_said_to_be(start: Start, engine: FakeEngine) -> None:
    """With its reason, and the rest is there all the same."""
    engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=3)
    found = await told(start)
    assert (None, "not there") == (found["engine"], found["engine_error"])
    assert found["free_bytes"] > 0


async def test_an_engine_that_hangs_holds_nobody_up(tmp_path: Path, workers: ThreadPool, engine: FakeEngine) -> None:
    """It is said that it does not answer."""

    async def open_engine() -> ContainerEngine:
        return engine

    engine.hold.clear()
    settings = await asyncio.to_thread(ReceiverSettings, store=tmp_path)
    opened = Engine(open_engine)
    about = ReceiverInfoPage(
        ReceiverState(settings, workers, Deployments(tmp_path, workers)), opened, "1", engine_seconds=0.05
    )
    found = await about.now()
    await opened.close()
    assert (None, "the engine has not answered within 0.05 s") == (found.engine, found.engine_error)


async def test_it_is_told_to_signed_requests_only(start: Start) -> None:
    """Where there are keys."""
    async with start(signing_keys=[f"k1:{_SECRET}"]) as receiver:
        assert 401 == (await receiver.client.get("/info")).status_code
        request = SignedRequest.for_get(httpx.URL(receiver.url).netloc.decode(), "/info")
        header = sign("k1", _SECRET.encode(), request, now=int(time.time()), nonce=new_nonce())
        response = await receiver.client.get("/info", headers={"Authorization": header})
    assert 200 == response.status_code
