"""The containers of a Docker Engine: each call runs in a thread of the engine's own, with connections of its own."""

from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple

from ...ports import ContainerEnd, ContainerFacts, ContainerSpec
from .call import Call
from .connection import connected_client
from .container_calls import ContainerCalls
from .endpoint import Endpoint
from .errors import engine_errors

__all__ = ["DockerRuntime"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

# An id is 32 random bytes in hexadecimal, and 12 of its characters are what the docker command shows of it
# (github.com/moby/moby, pkg/stringid).
_ID_CHARACTERS, _SHORT_CHARACTERS = 64, 12


class _RunInThread(Protocol):
    async def __call__(
        self, function: Callable[[Endpoint, Call, *Args], T], *args: *Args, seconds: float | None
    ) -> T: ...


class DockerRuntime:
    """Implements `ContainerRuntime` (`ports/`).

    Args:
        run_in_thread: Runs a function on the engine in a thread, with a deadline.
        response_timeout_seconds: For each call; `stop` adds its own seconds.
    """

    def __init__(self, run_in_thread: _RunInThread, response_timeout_seconds: float) -> None:
        self._run_in_thread = run_in_thread
        self._response_seconds = response_timeout_seconds

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container; its options apart from the limits are fixed (container_calls.py)."""
        task = f"The container {spec.name} could not be created"
        return await self._call(task, lambda calls: calls.create(spec))

    async def start(self, container_id: str) -> None:
        """Start a container."""
        task = f"The container {_short(container_id)} could not be started"
        await self._call(task, lambda calls: calls.start(container_id))

    async def keep_up(self, container_id: str) -> None:
        """Have the engine start it again until it is stopped."""
        task = f"The restart policy of the container {_short(container_id)} could not be set"
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
        """Kill and remove a container, on request with the anonymous volumes that were made for it."""
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
        """Return the paths for which an image declares volumes."""
        task = f"The image {image_id} could not be inspected"
        return await self._call(task, lambda calls: calls.volume_paths(image_id))

    async def has_volume(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        task = f"The volume {_short(name)} could not be inspected"
        return await self._call(task, lambda calls: calls.has_volume(name))

    async def _call(self, task: str, method: Callable[[ContainerCalls], T], *, extra_seconds: float = 0) -> T:
        def work(endpoint: Endpoint, call: Call) -> T:
            with connected_client(endpoint, call) as client, engine_errors(endpoint.engine, task):
                return method(ContainerCalls(client))

        return await self._run_in_thread(work, seconds=self._response_seconds + extra_seconds)


def _short(key: str) -> str:
    """Shorten an id as the docker command does; a name stays as it is."""
    return key[:_SHORT_CHARACTERS] if len(key) == _ID_CHARACTERS else key
