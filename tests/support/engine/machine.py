"""A real engine as a machine on which services run: images for them, and what is there of them."""

import json
from types import TracebackType
from typing import Self
from uuid import uuid4

import docker

from support.engine.engines import RealEngine

__all__ = ["UP", "Machine"]

# A service that stays up, and ends at once on SIGTERM.
UP = "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"


class Machine:
    """The containers and volumes of a test, which are gone when the `with` block is left.

    Args:
        engine: Where they are.

    Attributes:
        name: For the test's container; others may begin with it.
    """

    def __init__(self, engine: RealEngine) -> None:
        self.engine = engine
        self.name = engine.new_container()
        self._before = self.all_volumes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for container in self.engine.api.containers(all=True, filters={"name": self.name}):
            self.engine.api.remove_container(container["Id"], force=True, v=True)
        for name in self.all_volumes() - self._before:
            self.engine.api.remove_volume(name)

    @property
    def api(self) -> docker.APIClient:
        """docker-py's low-level client of the engine, which may have been restarted meanwhile."""
        return self.engine.api

    def image(self, script: str = UP, *lines: str) -> str:
        """Make an image that runs a script, with further lines of a Dockerfile; return its id."""
        reference = self.engine.new_image()
        name, _, tag = reference.rpartition(":")
        changes = [*lines, f"LABEL made={uuid4()}", f"CMD {json.dumps(['sh', '-c', script])}"]
        # Ten times as fast as a build, which commits each line.
        seed = self.api.create_container(self.engine.base_image, ["true"])["Id"]
        made = self.api.commit(seed, name, tag, changes=changes)
        self.api.remove_container(seed)
        return str(made["Id"])

    def containers(self) -> dict[str, str]:
        """Return the status of each container of the test's name, by its name."""
        found = self.engine.api.containers(all=True, filters={"name": self.name})
        return {one["Names"][0].removeprefix("/"): one["State"] for one in found}

    def run(self, container_id: str, script: str) -> str:
        """Run a command in a container."""
        made = self.engine.api.exec_create(container_id, ["sh", "-c", script])
        return str(self.engine.api.exec_start(made["Id"]).decode())

    def volumes(self, container_id: str) -> dict[str, str]:
        """Return the names of a container's volumes, by path."""
        mounts = self.engine.api.inspect_container(container_id)["Mounts"]
        return {mount["Destination"]: mount["Name"] for mount in mounts}

    def all_volumes(self) -> set[str]:
        """Return the name of every volume of the engine except those in containers of other programs."""
        others = (
            one
            for one in self.engine.api.containers(all=True)
            if not any(name.removeprefix("/").startswith(self.name) for name in one["Names"] or ())
        )
        used = {mount.get("Name") for one in others for mount in one["Mounts"]}
        return {volume["Name"] for volume in self.engine.api.volumes()["Volumes"] or ()} - used
