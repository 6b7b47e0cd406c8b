"""A receiver inside the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import read_samples
from support.engine.engines import FakeEngine

__all__ = ["Running", "Start", "form"]


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

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect, to send what no client library would."""
        url = httpx.URL(self.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def finished(self, deployment_id: str) -> dict[str, Any]:
        """Wait for a deployment's end."""
        while True:
            state: dict[str, Any] = (await self.client.get(f"/deployments/{deployment_id}")).json()
            if state["status"] not in {"received", "loading"} and (
                state["status"] != "loaded" or not state["will_run"]
            ):
                return state
            await asyncio.sleep(0.01)

    async def counted(self, name: str, value: int) -> None:
        """Wait until a counter of `GET /metrics` has a value."""
        while True:
            if value == read_samples((await self.client.get("/metrics")).text)[f"deployment_receiver_{name}"]:
                return
            await asyncio.sleep(0.01)

    def packages(self) -> list[str]:
        """The names in the store's final folder."""
        return sorted(path.name for path in (self.store / "packages").glob("*"))

    def staged(self) -> list[str]:
        """The names in the store's folder of uploads."""
        return sorted(path.name for path in (self.store / "staging").glob("*"))


def form(package: bytes, **fields: str | None) -> dict[str, str]:
    """Return fields that fit a package."""
    good = {
        "package_id": str(uuid4()),
        "checksum": blake3(package).hexdigest(),
        "container_name": "hello",
        "image_tag": "1.0",
    }
    return {name: value for name, value in (good | fields).items() if value is not None}


Start = Callable[..., AbstractAsyncContextManager[Running]]
