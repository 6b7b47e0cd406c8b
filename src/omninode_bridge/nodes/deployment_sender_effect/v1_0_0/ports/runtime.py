"""The role of a container engine that concerns containers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = ["ContainerEnd", "ContainerFacts", "ContainerLimits", "ContainerRuntime", "ContainerSpec", "Health"]

Health = Literal["starting", "healthy", "unhealthy"]


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """How much of its machine a container may use.

    Attributes:
        memory_bytes: Of memory and swap together.
        cpus: Cores, such as 0.5; all of them if None.
        pids: Processes and threads at once.
        log_file_bytes: Of one log file, before the next one is started.
        log_files: How many log files are kept.
    """

    memory_bytes: int
    cpus: float | None
    pids: int
    log_file_bytes: int
    log_files: int


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container that is to be created; everything else about it is fixed by the engine's client.

    Attributes:
        image_id: The engine's own id of the image.
        name: One that no other container has.
        labels: They replace the image's labels of the same names.
        limits: How much it may use.
        volumes: The names of existing volumes, by the path at which each is mounted.
    """

    image_id: str
    name: str
    labels: Mapping[str, str]
    limits: ContainerLimits
    volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """A container as its engine knows it now.

    Attributes:
        status: As the engine names it: `created`, `running`, `paused`, `restarting`, `exited` or `dead`.
        exit_code: Of the process that ended last; None while it runs.
        oom_killed: Whether the kernel has killed a process in it for memory.
        restart_count: How often the engine has restarted it since its last start by a request.
        error: Why the engine could not start it; empty if it could.
        finished_at: When its process ended last, by the engine's clock, in Unix seconds; None if it never has.
        volumes: The names of its volumes, by the path at which each is mounted.
        health: The state of its health check; None if it has no health check.
        health_output: The output of the last health check.
        health_within_seconds: How long the health check may take until it is healthy or unhealthy, by its settings.
    """

    container_id: str
    name: str
    status: str
    labels: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    error: str = ""
    finished_at: float | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    health: Health | None = None
    health_output: str = ""
    health_within_seconds: float = 0

    @property
    def running(self) -> bool:
        """Whether its process runs now, and is neither paused nor waiting to be started again."""
        return self.status == "running"

    @property
    def active(self) -> bool:
        """Whether its process runs, is paused, or is about to be restarted."""
        return self.status in {"running", "paused", "restarting"}


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How a container's process ended last; `exit_code` is None where the engine has forgotten it."""

    exit_code: int | None
    oom_killed: bool


class ContainerRuntime(Protocol):
    """The containers of an engine.

    Every method raises `EngineRefusedError` when the engine responds with an error, and `EngineUnavailableError` when
    it does not respond.
    """

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container that the engine does not restart, without starting it; return its id."""
        ...

    async def start(self, container_id: str) -> None:
        """Start a container; do nothing if it runs already."""
        ...

    async def keep_up(self, container_id: str) -> None:
        """Have the engine restart it whenever it ends or the engine itself was restarted, until it is stopped."""
        ...

    async def stop(self, container_id: str, seconds: float) -> None:
        """Ask its process to end, and kill it after so many seconds; do nothing if the container is gone."""
        ...

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        ...

    async def remove(self, container_id: str, *, volumes: bool) -> None:
        """Kill and remove a container; do nothing if it is gone.

        With `volumes` the anonymous volumes that the engine made for it go, too; those passed to `create` stay.
        """
        ...

    async def inspect(self, key: str) -> ContainerFacts | None:
        """Return what the engine knows of a container; None if it has none of exactly that name or id."""
        ...

    async def last_end(self, facts: ContainerFacts) -> ContainerEnd:
        """Return how a container ended last, also when it runs again meanwhile."""
        ...

    async def log_tail(self, container_id: str) -> str:
        """Return its last 30 lines, each with a line break before it; empty where the engine keeps no log."""
        ...

    async def volume_paths(self, image_id: str) -> tuple[str, ...]:
        """Return the paths for which an image declares volumes."""
        ...

    async def has_volume(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        ...
