"""The containers of an engine in memory, with ends, health checks and volumes as a test wants them."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineRefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEnd, ContainerFacts, ContainerSpec

__all__ = ["Container", "FakeRuntime"]


@dataclass
class Container:
    """A container that the engine has.

    Attributes:
        spec: What it was created with; None if another program created it.
        kept_up: Whether the engine starts it again.
    """

    facts: ContainerFacts
    spec: ContainerSpec | None = None
    kept_up: bool = False


@dataclass
class FakeRuntime:
    """Implements `ContainerRuntime` in memory.

    Attributes:
        containers: By id.
        volumes: The names of those that there are.
        declared_volumes: The paths of each image's VOLUME lines, by the image's id.
        ends: How the process of an image ends as soon as it is started; it stays up if not given.
        health: The result of the health checks of an image; none if not given.
        ignores_stop: Images whose process has to be killed.
        log: What every container has written.
        diary: What was done, in order: the method, and the container's name.
        before: Called before each method that changes something, with its name; may raise.
        after: Called after each of them, with its name; may raise.
        has_image: Whether the engine has an image of this id; any image if not given.
        check_open: Called by each method; raises once the engine is closed.
    """

    before: Callable[[str], Awaitable[None]]
    after: Callable[[str], Awaitable[None]]
    containers: dict[str, Container] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    declared_volumes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, ContainerEnd] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    ignores_stop: set[str] = field(default_factory=set)
    log: str = ""
    diary: list[str] = field(default_factory=list)
    has_image: Callable[[str], Awaitable[bool]] | None = None
    check_open: Callable[[], None] = lambda: None

    def named(self, name: str) -> Container:
        """Find a container."""
        (found,) = (one for one in self.containers.values() if one.facts.name == name)
        return found

    def specs(self) -> list[ContainerSpec]:
        """Return what the containers were created with."""
        return [one.spec for one in self.containers.values() if one.spec is not None]

    def names(self) -> dict[str, str]:
        """Return the status of each container, by its name."""
        return {one.facts.name: one.facts.status for one in self.containers.values()}

    def add_foreign(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Add a container that another program started; return its id."""
        container_id = self._new_id(name)
        self.containers[container_id] = Container(ContainerFacts(container_id, name, "running", dict(labels or {})))
        return container_id

    def change(self, container_id: str, **changes: object) -> None:
        """Have something else become of a container."""
        container = self.containers[container_id]
        container.facts = replace(container.facts, **changes)  # type: ignore[arg-type]

    async def create(self, spec: ContainerSpec) -> str:
        self.check_open()
        await self.before("create")
        await self._require_image(spec.image_id)
        if spec.name in self.names():
            raise EngineRefusedError(f"the name {spec.name} is in use")
        made = {path: hashlib.sha256(f"{len(self.diary)}{path}".encode()).hexdigest() for path in self._asked(spec)}
        self.volumes |= set(made.values())
        container_id = self._new_id(spec.name)
        facts = ContainerFacts(
            container_id, spec.name, "created", dict(spec.labels), volumes={**made, **dict(spec.volumes)}
        )
        self.containers[container_id] = Container(facts, spec)
        self._note("create", container_id)
        await self.after("create")
        return container_id

    async def start(self, container_id: str) -> None:
        self.check_open()
        await self.before("start")
        container = self._found(container_id)
        image_id = container.spec.image_id if container.spec else ""
        end = self.ends.get(image_id)
        if end is None:
            self.change(container_id, status="running", health=self.health.get(image_id))
        else:
            self.change(
                container_id, status="exited", exit_code=end.exit_code, oom_killed=end.oom_killed, finished_at=1.0
            )
        self._note("start", container_id)
        await self.after("start")

    async def keep_up(self, container_id: str) -> None:
        self.check_open()
        await self.before("keep_up")
        self._found(container_id).kept_up = True
        self._note("keep_up", container_id)
        await self.after("keep_up")

    async def stop(self, container_id: str, seconds: float) -> None:
        self.check_open()
        await self.before("stop")
        container = self.containers.get(container_id)
        if container is not None:
            killed = container.spec is not None and container.spec.image_id in self.ignores_stop
            self.change(container_id, status="exited", exit_code=137 if killed else 0, finished_at=1.0)
            self._note("stop", container_id)
        await self.after("stop")

    async def rename(self, container_id: str, name: str) -> None:
        self.check_open()
        await self.before("rename")
        self._found(container_id)
        self._note("rename", container_id)
        if name in self.names():
            raise EngineRefusedError(f"the name {name} is in use")
        self.change(container_id, name=name)
        await self.after("rename")

    async def remove(self, container_id: str, *, volumes: bool) -> None:
        self.check_open()
        await self.before("remove")
        if container_id in self.containers:
            self._note("remove", container_id)
            container = self.containers.pop(container_id)
            if volumes and container.spec is not None:
                self.volumes -= set(container.facts.volumes.values()) - set(container.spec.volumes.values())
        await self.after("remove")

    async def inspect(self, key: str) -> ContainerFacts | None:
        self.check_open()
        return next(
            (one.facts for one in self.containers.values() if key in {one.facts.container_id, one.facts.name}), None
        )

    async def last_end(self, facts: ContainerFacts) -> ContainerEnd:
        self.check_open()
        if facts.exit_code is not None:
            return ContainerEnd(facts.exit_code, facts.oom_killed)
        container = self._found(facts.container_id)
        assert container.spec is not None
        return self.ends[container.spec.image_id]

    async def log_tail(self, container_id: str) -> str:
        self.check_open()
        return self.log

    async def volume_paths(self, image_id: str) -> tuple[str, ...]:
        self.check_open()
        await self._require_image(image_id)
        return self.declared_volumes.get(image_id, ())

    async def has_volume(self, name: str) -> bool:
        self.check_open()
        return name in self.volumes

    async def _require_image(self, image_id: str) -> None:
        if self.has_image is not None and not await self.has_image(image_id):
            raise EngineRefusedError(f"No such image: {image_id}")

    def _asked(self, spec: ContainerSpec) -> list[str]:
        return [path for path in self.declared_volumes.get(spec.image_id, ()) if path not in spec.volumes]

    def _new_id(self, name: str) -> str:
        return hashlib.sha256(f"{name} {len(self.diary)} {len(self.containers)}".encode()).hexdigest()

    def _note(self, verb: str, container_id: str) -> None:
        self.diary.append(f"{verb} {self.containers[container_id].facts.name}")

    def _found(self, container_id: str) -> Container:
        if container_id not in self.containers:
            raise EngineRefusedError(f"No such container: {container_id}")
        return self.containers[container_id]
