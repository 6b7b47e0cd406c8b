"""A receiver in this process, over real TCP, with an engine that only pretends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ImageEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.server import serving
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.workers import Workers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives import image_archive
from support.engine import FakeEngine


@dataclass
class Running:
    """A running receiver and a client for it."""

    url: str
    store: Path
    client: httpx.AsyncClient
    engine: FakeEngine

    async def upload(self, package: bytes, **fields: str | None) -> httpx.Response:
        """Send a package with good fields; a field given as None is left out."""
        return await self.client.post("/deploy", data=form(package, **fields), files={"package": ("p.tar", package)})

    async def finished(self, deployment_id: str) -> dict[str, Any]:
        """Wait for a deployment's end."""
        while True:
            state: dict[str, Any] = (await self.client.get(f"/deployments/{deployment_id}")).json()
            if state["status"] not in {"received", "loading"} and (
                state["status"] != "loaded" or not state["will_run"]
            ):
                return state
            await asyncio.sleep(0.01)

    def packages(self) -> list[str]:
        """The names in the store's final folder."""
        return sorted(path.name for path in (self.store / "packages").glob("*"))

    def staged(self) -> list[str]:
        """What is left of uploads."""
        return sorted(path.name for path in (self.store / "staging").glob("*"))


def form(package: bytes, **fields: str | None) -> dict[str, str]:
    """Make the fields that fit a package."""
    good = {
        "package_id": str(uuid4()),
        "checksum": blake3(package).hexdigest(),
        "container_name": "hello",
        "image_tag": "1.0",
    }
    return {name: value for name, value in (good | fields).items() if value is not None}


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def package() -> bytes:
    """The smallest package: an image archive, not compressed."""
    return image_archive()


@pytest.fixture
async def engine() -> FakeEngine:
    """An engine that works."""
    return FakeEngine()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """Threads, which end with the test."""
    made = Workers(2)
    yield made
    await made.close()


@pytest.fixture
def start(tmp_path: Path, engine: FakeEngine) -> Start:
    """Answer a function that starts a receiver with some settings."""

    @contextlib.asynccontextmanager
    async def started(**settings: Any) -> AsyncIterator[Running]:
        store = settings.pop("store", tmp_path / "store")

        async def open_engine() -> ImageEngine:
            return engine

        async with (
            serving(ReceiverSettings(port=0, store=store, **settings), open_engine) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client,
        ):
            yield Running(url, store, client, engine)

    return started
