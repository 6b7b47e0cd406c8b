"""The calls about containers, in a thread; every container gets the same options."""

import posixpath
from contextlib import suppress
from typing import Any

from docker.errors import DockerException, NotFound
from docker.types import LogConfig, Mount

from ...ports import ContainerEnd, ContainerFacts, ContainerSpec
from .connection import EngineClient, required_field
from .container_facts import container_facts, strip_lines

__all__ = ["ContainerCalls"]

# The end of a container's log in a message: about a screen.
_LOG_LINES = 30
_LOG_CHARACTERS = 4096
_NANOCPUS_PER_CPU = 1_000_000_000  # Docker Engine API, HostConfig.NanoCpus
_FIXED_OPTIONS: dict[str, Any] = {
    # A container gets no more than a service needs: no capability, no way to gain one, no mount of the machine's own
    # files, the default bridge.
    "privileged": False,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    # A start that fails must be seen as one; `keep_up` changes this once the container has proved itself.
    "restart_policy": {"Name": "no"},
}
_RESTART_ALWAYS: Any = {"Name": "unless-stopped"}  # missing in the types of docker-py


class ContainerCalls:
    """The methods of `ContainerRuntime` (`ports/`), which describes them.

    Args:
        client: Connected.
    """

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; return its id."""
        limits = spec.limits
        host_config = self._client.create_host_config(
            **_FIXED_OPTIONS,
            mounts=[Mount(target=path, source=name, type="volume") for path, name in spec.volumes.items()],
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,  # memory and swap together, so none of it is swap
            nano_cpus=None if limits.cpus is None else round(limits.cpus * _NANOCPUS_PER_CPU),
            pids_limit=limits.pids,
            log_config=LogConfig(
                type=LogConfig.types.JSON,
                config={"max-size": str(limits.log_file_bytes), "max-file": str(limits.log_files)},
            ),
        )
        created = self._client.create_container(
            spec.image_id, name=spec.name, labels=dict(spec.labels), host_config=host_config
        )
        return str(required_field(created, "Id"))

    def start(self, container_id: str) -> None:
        """Start a container."""
        self._client.start(container_id)

    def keep_up(self, container_id: str) -> None:
        """Have the engine start the container again whenever it ends, also after the engine's own restart."""
        self._client.update_container(container_id, restart_policy=_RESTART_ALWAYS)

    def stop(self, container_id: str, seconds: float) -> None:
        """Stop a container; the engine counts in whole seconds."""
        with suppress(NotFound):
            self._client.stop(container_id, timeout=max(1, round(seconds)))

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        self._client.rename(container_id, name)

    def remove(self, container_id: str, *, volumes: bool) -> None:
        """Kill and remove a container."""
        with suppress(NotFound):
            self._client.remove_container(container_id, force=True, v=volumes)

    def inspect(self, key: str) -> ContainerFacts | None:
        """Return what the engine knows of a container of exactly that name or id."""
        try:
            facts = container_facts(self._client.inspect_container(key))
        except NotFound:
            return None
        # The engine also finds a container by the first characters of its id.
        return facts if key in {facts.name, facts.container_id} else None

    def last_end(self, facts: ContainerFacts) -> ContainerEnd:
        """Return how a container ended last.

        Once it runs again, that is in the engine's events only, which keep the last 256 of everything
        (github.com/moby/moby, daemon/events/events.go).
        """
        if facts.exit_code is not None or facts.finished_at is None:
            return ContainerEnd(facts.exit_code, facts.oom_killed)
        exit_code, oom_killed = None, False
        # The range ends at most a second after now: the engine sends events until it is over.
        since, until = int(facts.finished_at - 1), int(facts.finished_at + 0.5) + 1
        wanted = {"type": "container", "container": facts.container_id, "event": ["die", "oom"]}
        for event in self._client.events(since=since, until=until, filters=wanted, decode=True):
            oom_killed = oom_killed or event.get("Action") == "oom"
            code = str((event.get("Actor") or {}).get("Attributes", {}).get("exitCode", ""))
            exit_code = int(code) if code.isdigit() else exit_code
        return ContainerEnd(exit_code, oom_killed or (exit_code is None and facts.oom_killed))

    def log_tail(self, container_id: str) -> str:
        """Return the last lines that a container has written."""
        text = ""
        with suppress(DockerException):  # a log driver may keep none that can be read
            text = self._client.logs(container_id, tail=_LOG_LINES).decode("utf-8", "replace")[-_LOG_CHARACTERS:]
        return strip_lines(text)

    def volume_paths(self, image_id: str) -> tuple[str, ...]:
        """Return the paths of an image's VOLUME lines, as the engine mounts them."""
        image = self._client.describe_image(image_id)
        declared = (image.get("Config") or {}).get("Volumes") or {}
        return tuple(sorted(posixpath.normpath(path) for path in declared))

    def has_volume(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        try:
            self._client.inspect_volume(name)
        except NotFound:
            return False
        return True
