"""What packages are made with, end to end: a build context, a folder for the packages, an engine, a secret."""

import uuid
from pathlib import Path
from typing import Any

from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    ErrorCode,
    ModelContainerPackageOutput,
    NodeDeploymentSenderEffect,
)
from support.engine.engines import RealEngine

__all__ = ["SECRET", "SMALL", "Packaging"]

SECRET = "s3cret/of a build"
SMALL = "FROM scratch\nCOPY hello /"
_SPELLINGS = (SECRET, SECRET.replace(" ", "%20"), SECRET.replace(" ", "+"), "s3cret%2Fof")


class Packaging:
    """Everything around a node but the node itself.

    Args:
        folder: A temporary one.
        engine: Where images are built; tests may put another one in its place.

    Attributes:
        engine: As given.
        context: The build context; holds one small file, `hello`.
        folder: The package folder; not there yet.
        outputs: Every result, as JSON.
    """

    def __init__(self, folder: Path, engine: RealEngine) -> None:
        self.engine = engine
        self.context = folder / "context"
        self.context.mkdir()
        # What other tests have built they also remove: nothing of it may be in this one's cache.
        self._id = uuid.uuid4().hex
        (self.context / "hello").write_text(f"Hello {self._id}\n")
        self.folder = folder / "store"
        self.outputs: list[str] = []

    def betrayals(self, log: str) -> list[str]:
        """Return the results, and the log, that hold the secret."""
        return [text for text in (*self.outputs, log) if any(spelling in text for spelling in _SPELLINGS)]

    def settings(self, **values: object) -> dict[str, object]:
        """Make a container for a node: this folder and this engine, and what the test wants."""
        ours = {"package_dir": str(self.folder), "docker_host": self.engine.docker_host, "compression": "none"}
        return ours | values

    def node(self, **values: object) -> NodeDeploymentSenderEffect:
        """Make a node."""
        return NodeDeploymentSenderEffect(self.settings(**values))

    def contract(self, dockerfile: str = SMALL, **fields: object) -> dict[str, Any]:
        """Make a contract, and write its Dockerfile; BASE stands for the base image, and TOKEN holds the secret."""
        name, _, tag = self.engine.new_image().partition(":")
        text = dockerfile.replace("FROM BASE", f"FROM {self.engine.base_image}\nLABEL test={self._id}")
        file = self.context / f"Dockerfile.{name}"
        file.write_text(f"ARG TOKEN\n{text}\n")
        ours = {
            "container_name": name,
            "image_tag": tag,
            "build_context": str(self.context),
            "dockerfile_path": file.name,
            "build_args": {"TOKEN": SECRET},
        }
        return {"input_data": {"operation": "package_container", "input": ours | fields}}

    async def package(
        self, node: NodeDeploymentSenderEffect, dockerfile: str = SMALL, **fields: object
    ) -> ModelContainerPackageOutput:
        """Package once."""
        result = await node.execute_effect(self.contract(dockerfile, **fields))
        assert isinstance(result, ModelContainerPackageOutput)
        self.outputs.append(result.model_dump_json())
        return result

    async def fails(
        self, node: NodeDeploymentSenderEffect, code: ErrorCode, dockerfile: str = SMALL, **fields: object
    ) -> ModelContainerPackageOutput:
        """Package, and check that it fails with this code, leaves nothing, and has a recovery."""
        before = self.files()
        result = await self.package(node, dockerfile, **fields)
        assert (False, code) == (result.success, result.error_code), result
        assert result.recovery
        assert (before, []) == (self.files(), self.staged())
        return result

    async def works(self, node: NodeDeploymentSenderEffect, dockerfile: str = SMALL) -> None:
        """See that the node packages."""
        self.is_whole(await self.package(node, dockerfile))

    async def comes_to_work(self, node: NodeDeploymentSenderEffect) -> None:
        """See that the node packages again, however often the engine was too slow for it."""
        result = await self.package(node)
        while result.error_code is ErrorCode.DOCKER_UNAVAILABLE:
            result = await self.package(node)
        self.is_whole(result)

    def is_whole(self, result: ModelContainerPackageOutput) -> None:
        """See that a package is there, matches its checksum, and that nothing else has stayed beside it."""
        assert result.success, result
        assert result.package_path is not None
        path = Path(result.package_path)
        assert result.package_checksum == blake3(path.read_bytes()).hexdigest()
        assert [path.name, "manifest.json"] == sorted(one.name for one in path.parent.iterdir())
        assert [] == self.staged()

    def staged(self) -> list[str]:
        """Return the names of the entries that are being written, or were left."""
        folder = self.folder / "staging"
        return [one.name for one in folder.iterdir()] if folder.is_dir() else []

    def files(self) -> list[str]:
        """Return every file in the package folder."""
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir()]
