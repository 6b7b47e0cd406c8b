"""A real engine as a machine on which services run: images for them, and what is there of them."""

import io
import json
from types import TracebackType
from typing import Self
from uuid import uuid4

import docker

from support.engine import RealEngine

__all__ = ["UP", "Machine"]

# A service that stays up, and ends as soon as it is asked to.
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
        """Build an image that runs a script; return its id."""
        reference = self.engine.new_image()
        body = "".join(f"{line}\n" for line in lines)
        dockerfile = (
            f'FROM {self.engine.base_image}\n{body}LABEL made={uuid4()}\nCMD ["sh", "-c", {json.dumps(script)}]\n'
        )
        for line in self.engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True, decode=True):
            assert "error" not in line, line
        return str(self.engine.api.inspect_image(reference)["Id"])  # type: ignore[no-untyped-call]

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
        """Return the name of every volume of the engine."""
        return {volume["Name"] for volume in self.engine.api.volumes()["Volumes"] or ()}
