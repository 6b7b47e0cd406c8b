"""What is asked of a container engine about containers."""

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
        log_file_bytes: Of one log file, before the next one is begun.
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
        name: Must be free.
        labels: Win over the image's own.
        limits: How much it may use.
        volumes: The names of volumes that are there already, by the path at which each is mounted.
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
        status: The engine's word: `created`, `running`, `paused`, `restarting`, `exited` or `dead`.
        exit_code: Of the process that ended last; None while it runs.
        oom_killed: Whether the kernel has killed a process in it for memory.
        restart_count: How often the engine has started it again since somebody else last started it.
        error: Why the engine could not start it; empty if it could.
        finished_at: When its process ended last, by the engine's clock, in Unix seconds; None if it never has.
        volumes: The names of its volumes, by the path at which each is mounted.
        health: By its own health check; None if it has none.
        health_output: What the last health check has written.
        health_within_seconds: How long the health check may take to come to a verdict, by its own settings.
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
        """Whether its process runs, or would go on by itself or once it is no longer paused."""
        return self.status in {"running", "paused", "restarting"}


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How a container's process ended last; `exit_code` is None where the engine has forgotten it."""

    exit_code: int | None
    oom_killed: bool


class ContainerRuntime(Protocol):
    """Containers of a Docker Engine. DOCKER_UNAVAILABLE when it does not answer, BUILD_FAILED when it refuses."""

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container that the engine does not restart, and do not start it; return its id."""
        ...

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs already stays as it is."""
        ...

    async def keep_up(self, container_id: str) -> None:
        """Have the engine start it again whenever it ends or the engine itself was restarted, until it is stopped."""
        ...

    async def stop(self, container_id: str, seconds: float) -> None:
        """Ask its process to end, and kill it if it has not within so many seconds; one that is gone is fine."""
        ...

    async def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        ...

    async def remove(self, container_id: str, *, volumes: bool) -> None:
        """Kill and remove a container; one that is gone is fine.

        With `volumes` the anonymous volumes go that the engine has made for it; those that `create` was given stay.
        """
        ...

    async def inspect(self, key: str) -> ContainerFacts | None:
        """Return what the engine knows of a container; None if it has none of exactly that name or id."""
        ...

    async def last_end(self, facts: ContainerFacts) -> ContainerEnd:
        """Return how a container ended last, also when it runs again meanwhile."""
        ...

    async def log_tail(self, container_id: str) -> str:
        """Return its last 30 lines, each with a line break before it; nothing where the engine keeps no log."""
        ...

    async def volume_paths(self, image_id: str) -> tuple[str, ...]:
        """Return the paths at which an image asks for volumes."""
        ...

    async def has_volume(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        ...
