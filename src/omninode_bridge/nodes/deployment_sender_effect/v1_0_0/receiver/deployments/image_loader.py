"""Loads the image of one stored package into the engine, and names it once it is proved to be the announced image.

Until then it has a name that no sender can announce, so that a wrong image never has the announced one (docs/adr/0012).
"""

import logging
from contextlib import closing, suppress

from ...errors import EngineUnavailableError, InvalidInputError, OperationError
from ...image.docker_archive import ImageArchive
from ...image.engine_archive import EngineArchive
from ...models.reference import split_tag
from ...ports import ImageFacts, ImageStore
from .packages import INCOMING, Packages
from .record import Deployment
from .records import Deployments

__all__ = ["ImageLoader", "WrongImageError", "has_image"]

_log = logging.getLogger(__name__)


class WrongImageError(InvalidInputError):
    """The engine has another image than the package announced."""


class ImageLoader:
    """Loads images.

    Args:
        deployments: Know where the packages are.
        packages: Reads them.
    """

    def __init__(self, deployments: Deployments, packages: Packages) -> None:
        self._deployments = deployments
        self._packages = packages
        self._loading: set[str] = set()

    async def load(self, engine: ImageStore, deployment: Deployment, archive: ImageArchive) -> str:
        """Load an image and give it its name; return the engine's id of it.

        After an error every name leads to the same image as before. A load that was cancelled, or whose engine went
        away, may leave an image under its temporary name; the next load removes it.

        Args:
            engine: Loads the image.
            deployment: Its package is stored.
            archive: The content of the package, as the check found it.

        Raises:
            WrongImageError: The engine has loaded another image.
            ChecksumMismatchError: The package was damaged after its check.
            EngineUnavailableError: The engine went away.
            EngineRefusedError: The engine responded with an error.
            OSError: The package cannot be read.
        """
        incoming = f"{INCOMING}:{deployment.deployment_id}"
        self._loading.add(incoming)
        try:
            await self._remove_leftovers(engine)
            before = await engine.inspect(deployment.reference)
            try:
                image_id = await self._load(engine, deployment, archive, incoming)
            except EngineUnavailableError:
                raise  # further requests to this engine would fail as well
            except Exception:
                await _restore(engine, deployment.reference, before)
                await _untag(engine, incoming)
                raise
            await _untag(engine, incoming)
            return image_id
        finally:
            self._loading.discard(incoming)

    async def _load(self, engine: ImageStore, deployment: Deployment, archive: ImageArchive, incoming: str) -> str:
        written = EngineArchive(archive, incoming)
        path = self._deployments.package_file(deployment)
        with closing(self._packages.written_for_engine(path, deployment, written)) as pieces:
            await engine.load(pieces)
        facts = await engine.inspect(incoming)
        if facts is None or facts.image_id not in written.image_ids:
            raise WrongImageError(f"the engine has loaded another image than {archive.config_digest}")
        if facts.diff_ids != tuple(layer.diff_id for layer in archive.layers):
            # The containerd image store reports success for an image that it could not unpack.
            raise WrongImageError(f"the engine has loaded {archive.config_digest} without the layers that it names")
        await engine.tag(facts.image_id, deployment.reference)
        if await engine.inspect(deployment.reference) != facts:
            raise WrongImageError(f"the engine has given the name {deployment.reference} to another image")
        return facts.image_id

    async def _remove_leftovers(self, engine: ImageStore) -> None:
        """Remove the temporary names that earlier loads of this receiver left."""
        try:
            references = await engine.references(INCOMING)
        except OperationError as exc:  # one image that podman cannot read is enough
            _log.warning("temporary names of earlier loads cannot be listed: %s", exc.message)
            return
        for reference in references:
            deployment_id = split_tag(reference)[1]
            if reference not in self._loading and deployment_id and self._deployments.get(deployment_id):
                await _untag(engine, reference)


async def has_image(engine: ImageStore, deployment: Deployment) -> bool:
    """Return whether a deployment's name and tag lead to the image that was loaded for it.

    Raises:
        EngineUnavailableError: The engine does not respond.
        EngineRefusedError: The engine responded with an error.
    """
    facts = await engine.inspect(deployment.reference)
    return facts is not None and facts.image_id == deployment.loaded_image_id


async def _restore(engine: ImageStore, reference: str, before: ImageFacts | None) -> None:
    """Give a name back to the image that had it before the load."""
    with suppress(OperationError):  # the error of the load says more
        now = await engine.inspect(reference)
        if now == before:
            return
        _log.error("a load that failed gave %s to another image: restoring it", reference)
        if before is None:
            await engine.untag(reference)
        else:
            await engine.tag(before.image_id, reference)


async def _untag(engine: ImageStore, incoming: str) -> None:
    """Remove a temporary name; where that fails, the next load does it."""
    try:
        await engine.untag(incoming)
    except OperationError as exc:
        _log.warning("the next load will remove %s: %s", incoming, exc.message)
