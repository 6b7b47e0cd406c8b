"""What the demo asks of the engine beside the operations of the node: remove an image, read a container's output."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from ..clients.docker.call import Call
from ..clients.docker.connection import EngineClient, connected_client
from ..clients.docker.endpoint import Endpoint
from ..clients.docker.errors import engine_errors
from ..receiver.deployments.replacement import LABEL_PREFIX
from ..settings import DeploymentSenderSettings

__all__ = ["DemoEngine"]

T = TypeVar("T")

_RESPONSE_TIMEOUT_SECONDS = 60.0  # removing a large image from a slow disk takes some seconds
_FIRST_LINE_TIMEOUT_SECONDS = 2.0  # a container that prints at its start has done so by then
_POLL_SECONDS = 0.1


class DemoEngine:
    """The engine of the demo.

    Its methods raise `EngineUnavailableError` and `EngineRefusedError`.

    Args:
        settings: Its address and certificates.
    """

    def __init__(self, settings: DeploymentSenderSettings) -> None:
        self._settings = settings

    async def remove_image(self, reference: str) -> bool:
        """Remove a tag; return whether the image is gone too, as it is if it has no other tag."""
        steps = await self._call(f"{reference} could not be removed", lambda client: client.remove_image(reference))
        return any("Deleted" in step for step in steps)

    async def container_of(self, package_id: str) -> str | None:
        """Return the id of the container that a receiver started from a package."""
        wanted = {"label": f"{LABEL_PREFIX}.package={package_id}"}
        found = await self._call(
            "the containers could not be listed", lambda client: client.containers(all=True, filters=wanted)
        )
        return next((str(container["Id"]) for container in found), None)

    async def first_line(self, container_id: str) -> str:
        """Return the first line that a container has printed; empty if it prints none within 2 s."""

        def read(client: EngineClient) -> str:
            deadline = time.monotonic() + _FIRST_LINE_TIMEOUT_SECONDS
            while not (output := client.logs(container_id).decode(errors="replace")) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            return output.partition("\n")[0]

        return await self._call("the container's output could not be read", read)

    async def remove_container(self, container_id: str) -> None:
        """Stop and remove a container."""
        await self._call(
            f"the container {container_id} could not be removed",
            lambda client: client.remove_container(container_id, force=True),
        )

    async def _call(self, task: str, work: Callable[[EngineClient], T]) -> T:
        settings = self._settings
        endpoint = Endpoint(
            settings.docker_host,
            settings.docker_tls_verify,
            settings.docker_cert_path,
            settings.connect_timeout_seconds,
            settings.docker_config,
        )

        def run() -> T:
            with (
                connected_client(endpoint, Call(), _RESPONSE_TIMEOUT_SECONDS) as client,
                engine_errors(endpoint.engine, task),
            ):
                return work(client)

        return await asyncio.to_thread(run)
