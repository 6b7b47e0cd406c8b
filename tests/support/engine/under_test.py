"""One engine for a suite of its ports, with what the suite makes in it."""

import io
import tarfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    BuildRequest,
    ContainerEngine,
    ContainerLimits,
    ContainerSpec,
)
from support.archives.archives import image_archive, layer
from support.engine.fake import FakeEngine

__all__ = ["LIMITS", "EngineUnderTest", "archive", "files_in"]

LIMITS = ContainerLimits(
    memory_bytes=64 << 20, cpus=None, pids=64, log_file_bytes=1 << 20, log_files=2
)  # 64 MiB, 1 MiB


@dataclass
class EngineUnderTest:
    """An engine and what a suite needs to know of it.

    Attributes:
        engine: Open; closed after the test.
        base_image: An image with a shell; None where no process can be started.
        folder: An empty folder.
    """

    engine: ContainerEngine
    base_image: str | None
    folder: Path
    _references: list[str] = field(default_factory=list)
    _containers: list[str] = field(default_factory=list)

    def new_name(self) -> str:
        """Make a name that no other test has."""
        return f"deployment-sender-test-{uuid.uuid4().hex[:12]}"

    def new_reference(self, tag: str = "1.0") -> str:
        """Make such a `name:tag`; it is removed after the test."""
        self._references.append(f"{self.new_name()}:{tag}")
        return self._references[-1]

    async def loaded(self, content: str) -> str:
        """Load an image with one file of this content, and return its `name:tag`."""
        reference = self.new_reference()
        await self.engine.load(iter([archive(reference, content)]))
        return reference

    def request(self, reference: str, dockerfile: str = "FROM scratch\nCOPY hello /\n") -> BuildRequest:
        """Write a context and return the request to build it."""
        (self.folder / "hello").write_text("Hello\n")
        (self.folder / "Dockerfile").write_text(dockerfile)
        return BuildRequest(self.folder, "Dockerfile", reference)

    async def service(self, *, volume: str = "") -> str:
        """Build an image whose containers run until they are stopped, and return the engine's id of it.

        Args:
            volume: A path for which the image declares a volume; none if empty.
        """
        assert self.base_image is not None
        dockerfile = f'FROM {self.base_image}\nCMD ["sh", "-c", "sleep 600"]\n'
        request = self.request(self.new_reference(), dockerfile + (f"VOLUME {volume}\n" if volume else ""))
        image_id = await self.engine.build(request, lambda _: None)
        if isinstance(self.engine, FakeEngine) and volume:
            self.engine.runtime.declared_volumes[image_id] = (volume,)
        return image_id

    async def created(self, image_id: str) -> str:
        """Create a container and return its id; it is removed after the test."""
        container_id = await self.engine.runtime.create(self.spec(image_id))
        self._containers.append(container_id)
        return container_id

    def spec(self, image_id: str, name: str | None = None) -> ContainerSpec:
        """Describe a container; its name is new if not given."""
        return ContainerSpec(image_id, name or self.new_name(), {"owner": "conformance"}, LIMITS)

    async def clean(self) -> None:
        """Remove what the test has left."""
        for container_id in self._containers:
            await self.engine.runtime.remove(container_id, volumes=True)
        for reference in self._references:
            await self.engine.untag(reference)


def archive(reference: str | None, content: str = "Hello") -> bytes:
    """Make an image archive with one file."""
    return image_archive("legacy", reference, [layer(hello=content.encode())])


def files_in(content: bytes) -> list[str]:
    """Return the names of the members of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getnames()
