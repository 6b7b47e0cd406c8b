"""Hands the image of one stored package to the engine, and gives it its name once it is what was announced.

Until then it has a name that nobody else uses, so that a wrong image never has the announced one (docs/adr/0012).
"""

import logging
from contextlib import closing, suppress

from ...errors import DeploymentSenderError, ErrorCode
from ...image.docker_archive import ImageArchive
from ...image.engine_archive import EngineArchive
from ...ports import ImageFacts, ImageStore
from .packages import INCOMING, Packages
from .records import Deployment, Deployments

__all__ = ["Loading"]

_log = logging.getLogger(__name__)


class Loading:
    """Loads images.

    Args:
        deployments: Know where the packages are.
        packages: Reads them.
    """

    def __init__(self, deployments: Deployments, packages: Packages) -> None:
        self._deployments = deployments
        self._packages = packages
        self._under_way: set[str] = set()

    async def load(self, engine: ImageStore, deployment: Deployment, archive: ImageArchive) -> str:
        """Load an image and name it; return the engine's own id of it.

        Whatever fails leaves every name as it was before. A load that is broken off, or whose engine went away, may
        leave the image under the name that it had until then; the next load removes that.

        Args:
            engine: Where to.
            deployment: Its package is kept.
            archive: What the package was found to hold.

        Raises:
            DeploymentSenderError: What engine and package raise; `VALIDATION_ERROR` when the engine has loaded another
                image.
        """
        incoming = f"{INCOMING}:{deployment.deployment_id}"
        self._under_way.add(incoming)
        try:
            await self._remove_left(engine)
            before = await engine.inspect(deployment.reference)
            try:
                image_id = await self._load(engine, deployment, archive, incoming)
            except Exception as exc:
                if not (isinstance(exc, DeploymentSenderError) and exc.code is ErrorCode.DOCKER_UNAVAILABLE):
                    await _put_back(engine, deployment.reference, before)
                    await _forget(engine, incoming)
                raise
            await _forget(engine, incoming)
            return image_id
        finally:
            self._under_way.discard(incoming)

    async def _load(self, engine: ImageStore, deployment: Deployment, archive: ImageArchive, incoming: str) -> str:
        written = EngineArchive(archive, incoming)
        path = self._deployments.package_file(deployment)
        with closing(self._packages.written_for_engine(path, deployment, written)) as pieces:
            await engine.load(pieces)
        facts = await engine.inspect(incoming)
        if facts is None or facts.image_id not in written.image_ids:
            raise _wrong(f"the engine has loaded another image than {archive.config_digest}")
        if facts.diff_ids != tuple(layer.diff_id for layer in archive.layers):
            # The containerd image store reports success for an image that it could not unpack.
            raise _wrong(f"the engine has loaded {archive.config_digest} without the layers that it names")
        await engine.tag(facts.image_id, deployment.reference)
        if await engine.inspect(deployment.reference) != facts:
            raise _wrong(f"the engine has given {deployment.reference} to another image")
        return facts.image_id

    async def _remove_left(self, engine: ImageStore) -> None:
        """Remove the names of loads of this receiver's that were broken off."""
        try:
            references = await engine.references(INCOMING)
        except DeploymentSenderError as exc:  # one image that podman cannot read is enough
            _log.warning("names of loads that were broken off are not looked for: %s", exc.message)
            return
        for reference in references:
            deployment_id = reference.rpartition(":")[2]
            if reference not in self._under_way and self._deployments.get(deployment_id):
                await _forget(engine, reference)


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message)


async def _put_back(engine: ImageStore, reference: str, before: ImageFacts | None) -> None:
    """Let a name lead to where it led before the load, whoever has changed that."""
    with suppress(DeploymentSenderError):  # the first error says more
        now = await engine.inspect(reference)
        if now == before:
            return
        _log.error("a load that failed has moved %s: it is put back", reference)
        if before is None:
            await engine.untag(reference)
        else:
            await engine.tag(before.image_id, reference)


async def _forget(engine: ImageStore, incoming: str) -> None:
    """Remove a name of ours; where that fails, the next load does it."""
    try:
        await engine.untag(incoming)
    except DeploymentSenderError as exc:
        _log.warning("%s is left for the next load: %s", incoming, exc.message)
