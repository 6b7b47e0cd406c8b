"""The containers of a Docker Engine: each call runs in a thread of the engine's own, with connections of its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ...ports import ContainerEnd, ContainerFacts, ContainerSpec
from .call import Call
from .endpoint import Endpoint

if TYPE_CHECKING:
    from .container_calls import ContainerCalls

__all__ = ["DockerRuntime"]

T = TypeVar("T")

_ID_CHARACTERS, _SHORT_CHARACTERS = 64, 12


class _Run(Protocol):
    async def __call__(self, work: Callable[[Call], T], seconds: float | None) -> T: ...


class DockerRuntime:
    """Implements `ContainerRuntime` (`ports/`).

    Args:
        endpoint: Where the engine is.
        run: Runs work in a thread, with a deadline.
        answer_timeout_seconds: For each call; `stop` has its own seconds on top.
    """

    def __init__(self, endpoint: Endpoint, run: _Run, answer_timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._run = run
        self._answer_seconds = answer_timeout_seconds

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container; the options that are no limits are fixed (container_calls.py)."""
        task = f"The container {spec.name} could not be created"
        return await self._call(task, lambda calls: calls.create(spec))

    async def start(self, container_id: str) -> None:
        """Start a container."""
        task = f"The container {_short(container_id)} could not be started"
        await self._call(task, lambda calls: calls.start(container_id))

    async def keep_up(self, container_id: str) -> None:
        """Have the engine start it again until it is stopped."""
        task = f"The container {_short(container_id)} could not be told to stay up"
        await self._call(task, lambda calls: calls.keep_up(container_id))

    async def stop(self, container_id: str, seconds: float) -> None:
        """Ask its process to end, and kill it after so many seconds."""
        task = f"The container {_short(container_id)} could not be stopped"
        await self._call(task, lambda calls: calls.stop(container_id, seconds), extra_seconds=seconds)

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        task = f"The container {_short(container_id)} could not be named {name}"
        await self._call(task, lambda calls: calls.rename(container_id, name))

    async def remove(self, container_id: str, *, volumes: bool) -> None:
        """Kill and remove a container, with the anonymous volumes that were made for it if wanted."""
        task = f"The container {_short(container_id)} could not be removed"
        await self._call(task, lambda calls: calls.remove(container_id, volumes=volumes))

    async def inspect(self, key: str) -> ContainerFacts | None:
        """Return what the engine knows of a container of exactly that name or id."""
        task = f"The container {_short(key)} could not be inspected"
        return await self._call(task, lambda calls: calls.inspect(key))

    async def last_end(self, facts: ContainerFacts) -> ContainerEnd:
        """Return how a container ended last."""
        task = f"The events of the container {facts.name} could not be read"
        return await self._call(task, lambda calls: calls.last_end(facts))

    async def log_tail(self, container_id: str) -> str:
        """Return its last 30 lines."""
        task = f"The log of the container {_short(container_id)} could not be read"
        return await self._call(task, lambda calls: calls.log_tail(container_id))

    async def volume_paths(self, image_id: str) -> tuple[str, ...]:
        """Return the paths at which an image asks for volumes."""
        return await self._call(
            f"The image {image_id} could not be inspected", lambda calls: calls.volume_paths(image_id)
        )

    async def has_volume(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        task = f"The volume {_short(name)} could not be inspected"
        return await self._call(task, lambda calls: calls.has_volume(name))

    async def _call(self, task: str, do: "Callable[[ContainerCalls], T]", *, extra_seconds: float = 0) -> T:
        def work(call: Call) -> T:
            # In the worker's thread, as all of docker-py: importing it takes a quarter of a second.
            from .connection import connected  # noqa: PLC0415
            from .container_calls import ContainerCalls  # noqa: PLC0415
            from .errors import translated  # noqa: PLC0415

            with connected(self._endpoint, call) as client, translated(self._endpoint.engine, task):
                return do(ContainerCalls(client))

        return await self._run(work, self._answer_seconds + extra_seconds)


def _short(key: str) -> str:
    """Cut an id as the docker command does; names stay."""
    return key[:_SHORT_CHARACTERS] if len(key) == _ID_CHARACTERS else key
