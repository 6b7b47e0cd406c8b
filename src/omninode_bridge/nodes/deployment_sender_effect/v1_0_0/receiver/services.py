"""Starts the containers of loaded images."""

import hashlib
import re

from ..ports import ImageEngine
from .deployments import Deployment

__all__ = ["LABEL_PREFIX", "Services", "container_name"]

LABEL_PREFIX = "omninode.deployment"
# github.com/moby/moby, daemon/names/names.go: RestrictedNamePattern.
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)


def container_name(image_name: str) -> str:
    """Name the container of an image: the same name where Docker takes it, else one that no other image gets."""
    if _CONTAINER_NAME.fullmatch(image_name):
        return image_name
    digest = hashlib.sha256(image_name.encode()).hexdigest()[:12]
    return f"{re.sub('[^a-zA-Z0-9_.-]', '-', image_name).lstrip('-')}-{digest}"


class Services:
    """Runs one container for each image name."""

    async def runs(self, engine: ImageEngine, deployment: Deployment) -> bool | None:
        """Return whether the container that was started for a deployment runs; None if it is gone.

        Raises:
            DeploymentSenderError: `DOCKER_UNAVAILABLE`.
        """
        return None if deployment.container_id is None else await engine.container_runs(deployment.container_id)

    async def start(self, engine: ImageEngine, deployment: Deployment, image_id: str) -> str:
        """Start the container of a loaded image by the image's id, replacing the one before it; answer its id.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`, `DOCKER_UNAVAILABLE`.
        """
        labels = {
            f"{LABEL_PREFIX}.id": deployment.deployment_id,
            f"{LABEL_PREFIX}.package": deployment.package_id,
        }
        return await engine.run(image_id, container_name(deployment.container_name), labels)
