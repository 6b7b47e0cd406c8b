"""One run: its folder, its images, and what several subjects need, made once."""

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.images import REPOSITORY, Image, make_image
from bench.programs import BenchError, b3sum
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ModelContainerPackageInput,
    ModelContainerPackageOutput,
    NodeDeploymentSenderEffect,
)
from support.receiver.process import ReceiverProcess

__all__ = ["Package", "Session", "package", "packaging", "running_node"]

_NO_ENGINE = "tcp://127.0.0.1:1"


@dataclass(frozen=True)
class Package:
    """A package in a store.

    Attributes:
        store: The store's folder.
        fields: The form fields that a receiver needs.
    """

    package_id: str
    path: Path
    store: Path
    fields: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self.path.stat().st_size

    def again(self) -> "Package":
        """Have the same bytes under another id."""
        new = str(uuid.uuid4())
        folder = self.store / "packages" / new
        shutil.copytree(self.path.parent, folder, copy_function=lambda source, copy: Path(copy).hardlink_to(source))
        manifest = folder / "manifest.json"
        document = json.loads(manifest.read_text())
        manifest.unlink()  # it is the other one's, too
        manifest.write_text(json.dumps(document | {"package_id": new}))
        return Package(new, folder / self.path.name, self.store, {**self.fields, "package_id": new})


@dataclass(eq=False)
class Session:
    """What all subjects work with.

    Attributes:
        sizes_mb: Of the images, the one that most is measured with last.
        rounds: How often everything is measured.
        slow_once: Whether what takes a minute takes part in one round only.
        folder: For all that is written; on the disk that is measured, and gone after the run.
        report: Called with each step of progress.
    """

    sizes_mb: list[int]
    rounds: int
    slow_once: bool
    folder: Path
    report: Callable[[str], None]

    @property
    def image(self) -> Image:
        """The image that most is measured with."""
        return self.image_of(self.sizes_mb[-1])

    def image_of(self, size_mb: int) -> Image:
        """The image of a size."""
        return make_image(size_mb, self.report)

    def turn_of(self, subject: str) -> Callable[[str], None]:
        """Make what comes before each turn: it is reported, and nothing of the one before is left to write."""

        def begin(line: str) -> None:
            self.report(f"{subject}: {line}")
            os.sync()

        return begin

    @cached_property
    def package(self) -> Package:
        """That image, packaged with gzip."""
        self.report("packaging what is sent")
        store = self.folder / "sender"
        with running_node({"package_dir": str(store)}) as (runner, node):
            output = runner.run(package(node, self.image, "gzip"))
        path, checksum = Path(output.package_path or ""), output.package_checksum or ""
        if b3sum(path) != checksum:
            raise BenchError("a package does not have the checksum that was returned")
        fields = {"package_id": output.package_id or "", "checksum": checksum, "compression": "gzip"}
        fields |= {"container_name": REPOSITORY, "image_tag": self.image.tag, "verify_checksum": "true"}
        return Package(fields["package_id"], path, store, fields)

    @contextmanager
    def receiver(self, *, loads: bool = False) -> Iterator[ReceiverProcess]:
        """Have a receiver with a fresh store; killed, with its work undone, when the block is left.

        Args:
            loads: Let it have the engine, else it is content with what it has received.
        """
        store = self.folder / "receiver"
        receiver = ReceiverProcess(store, environ={} if loads else {"DOCKER_HOST": _NO_ENGINE})
        receiver.__enter__()
        try:
            yield receiver
        finally:
            receiver.kill()
            shutil.rmtree(store)

    def received(self, checksum: str, times: int = 1) -> list[str]:
        """Return what is wrong with the packages that the receiver stored."""
        found = [b3sum(path) for path in (self.folder / "receiver" / "packages").glob("*/package")]
        return [] if found == [checksum] * times else [f"the receiver has stored {found}, not {times} x {checksum}"]


@contextmanager
def running_node(values: Mapping[str, Any]) -> Iterator[tuple[asyncio.Runner, NodeDeploymentSenderEffect]]:
    """A node, and a loop that runs only while it is given work."""
    with asyncio.Runner() as runner:
        node = NodeDeploymentSenderEffect(values)
        try:
            yield runner, node
        finally:
            runner.run(node.cleanup())


def packaging(image: Image, compression: str) -> dict[str, str]:
    """What to ask of `package_container`; the engine has the build in its cache."""
    return {
        "container_name": REPOSITORY,
        "image_tag": image.tag,
        "build_context": str(image.context),
        "compression": compression,
    }


async def package(node: NodeDeploymentSenderEffect, image: Image, compression: str) -> ModelContainerPackageOutput:
    """Package an image."""
    output = await node.package_container(ModelContainerPackageInput.read(packaging(image, compression)))
    if not output.success:
        raise BenchError(f"package_container: {output.error_code}: {output.error_message}")
    return output
