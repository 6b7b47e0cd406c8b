"""A receiver in this process, over real TCP, with an engine that only pretends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.server import serving
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive
from support.engine.engines import FakeEngine
from support.receiver.in_process import Running, Start


@pytest.fixture
def package() -> bytes:
    """The smallest package: an image archive, not compressed."""
    return image_archive()


@pytest.fixture
async def engine() -> FakeEngine:
    """An engine that works."""
    return FakeEngine()


@pytest.fixture
async def workers() -> AsyncIterator[ThreadPool]:
    """Threads, which end with the test."""
    made = ThreadPool(2)
    yield made
    await made.close()


@pytest.fixture
def start(tmp_path: Path, engine: FakeEngine) -> Start:
    """Answer a function that starts a receiver with some settings."""

    @contextlib.asynccontextmanager
    async def started(*, shutdown_seconds: float = 60, **settings: Any) -> AsyncIterator[Running]:
        store = settings.pop("store", tmp_path / "store")
        made = await asyncio.to_thread(
            ReceiverSettings, port=0, store=store, **({"start_watch_seconds": 0.01} | settings)
        )

        async def open_engine() -> ContainerEngine:
            return engine

        async with (
            serving(made, open_engine, shutdown_seconds=shutdown_seconds) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=120) as client,
        ):
            yield Running(url, store, client, engine)

    return started
