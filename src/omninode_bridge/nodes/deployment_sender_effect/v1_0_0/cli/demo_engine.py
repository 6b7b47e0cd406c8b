"""What the demo does to the engine beside the journey: take the image away, listen to the container, clean up."""

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from ..settings import DeploymentSenderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..clients.docker.connection import EngineClient

__all__ = ["DemoEngine"]

T = TypeVar("T")

_SILENCE_SECONDS = 60.0
_WORDS_WITHIN_SECONDS = 2.0


class DemoEngine:
    """The engine, for what no operation of the node does. DOCKER_UNAVAILABLE, BUILD_FAILED.

    Args:
        settings: Where it is.
    """

    def __init__(self, settings: DeploymentSenderSettings) -> None:
        self._settings = settings

    async def remove_image(self, reference: str) -> bool:
        """Take away a tag; answer whether the image went with it, as it does if it has no other."""
        gone = await self._call(f"{reference} could not be removed", lambda client: client.remove_image(reference))
        return any("Deleted" in step for step in gone)

    async def container_of(self, package_id: str) -> str | None:
        """Answer the id of the container that a receiver has started from a package."""
        from ..receiver.deployments.services import LABEL_PREFIX  # noqa: PLC0415 - comes with the extra `receiver`

        wanted = {"label": f"{LABEL_PREFIX}.package={package_id}"}
        found = await self._call(
            "the containers could not be listed", lambda client: client.containers(all=True, filters=wanted)
        )
        return next((str(container["Id"]) for container in found), None)

    async def first_words(self, container_id: str) -> str:
        """Answer the first line that a container has said, after a moment's patience."""

        def read(client: "EngineClient") -> str:
            deadline = time.monotonic() + _WORDS_WITHIN_SECONDS
            while not (said := client.logs(container_id).decode(errors="replace")) and time.monotonic() < deadline:
                time.sleep(0.1)
            return said.partition("\n")[0]

        return await self._call("the container's output could not be read", read)

    async def remove_container(self, container_id: str) -> None:
        """Stop a container and take it away."""
        await self._call(
            f"the container {container_id} could not be removed",
            lambda client: client.remove_container(container_id, force=True),
        )

    async def _call(self, task: str, work: "Callable[[EngineClient], T]") -> T:
        from ..clients.docker.call import Call  # noqa: PLC0415 - docker loads where it is needed
        from ..clients.docker.connection import connected_client  # noqa: PLC0415
        from ..clients.docker.endpoint import Endpoint  # noqa: PLC0415
        from ..clients.docker.errors import engine_errors  # noqa: PLC0415

        settings = self._settings
        endpoint = Endpoint(
            settings.docker_host,
            settings.docker_tls_verify,
            settings.docker_cert_path,
            settings.connect_timeout_seconds,
            settings.docker_config,
        )

        def run() -> T:
            with connected_client(endpoint, Call(), _SILENCE_SECONDS) as client, engine_errors(endpoint.engine, task):
                return work(client)

        return await asyncio.to_thread(run)
