"""Hands the image of one stored package to the engine, and sees that it is what was announced."""

from contextlib import closing

from ..errors import DeploymentSenderError, ErrorCode
from ..pipeline.archive import ImageArchive
from ..ports import ImageEngine
from .deployments import Deployment, Deployments
from .packages import Packages

__all__ = ["Loading"]


class Loading:
    """Loads images.

    Args:
        deployments: Know where the packages are.
        packages: Reads them.
    """

    def __init__(self, deployments: Deployments, packages: Packages) -> None:
        self._deployments = deployments
        self._packages = packages

    async def load(self, engine: ImageEngine, deployment: Deployment, archive: ImageArchive) -> str:
        """Load an image; answer the engine's own id of it.

        Args:
            engine: Where to.
            deployment: Its package is kept.
            archive: What the package was found to hold.

        Raises:
            DeploymentSenderError: What engine and package raise; `VALIDATION_ERROR` when another image is there.
        """
        path = self._deployments.package_file(deployment)
        with closing(self._packages.unpacked(path, deployment)) as pieces:
            await engine.load(pieces)
        facts = await engine.inspect(deployment.reference)
        if facts is None or facts.diff_ids != tuple(layer.diff_id for layer in archive.layers):
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR, f"after loading, the engine's {deployment.reference} is another image"
            )
        return facts.image_id
