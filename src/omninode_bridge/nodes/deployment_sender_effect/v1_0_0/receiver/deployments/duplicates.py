"""What becomes of a package that arrives again."""

from ...errors import ErrorCode
from ...protocol.form import UploadFields
from ..http.errors import RefusedError
from ..state import ReceiverState
from .deployer import Deployer
from .image_watcher import Reconciler
from .records import NO_ERROR, Deployment

__all__ = ["Repeats"]


class Repeats:
    """Finds what was kept before, and has it deployed again unless the engine says that it serves.

    Args:
        shared: The receiver's own.
        images: Deploys.
        reconciler: Asks the engine.
    """

    def __init__(self, shared: ReceiverState, images: Deployer, reconciler: Reconciler) -> None:
        self._deployments = shared.deployments
        self._workers = shared.workers
        self._images = images
        self._reconciler = reconciler

    async def find(self, fields: UploadFields) -> Deployment | None:
        """Return the deployment of an announced package that was kept before; hold the package's lock.

        It is taken up again, as the latest of its image name, unless it is under way or serves already.

        Returns:
            None if the package is to be kept anew: it is not there, or this disk has damaged or lost it.

        Raises:
            RefusedError: 409: another package has this id.
        """
        known = self._deployments.of_package(fields.package_id)
        if known is None or known.error_code == ErrorCode.CHECKSUM_MISMATCH:
            return None
        if known.checksum != fields.checksum:
            raise RefusedError(
                409,
                f"package {fields.package_id} is here already, with another checksum",
                code=ErrorCode.VALIDATION_ERROR,
                recovery="Package the image again: each package has an id of its own.",
            )
        if not await self._workers.run(self._deployments.has_package, known):
            return None
        return await self._again(known)

    async def _again(self, known: Deployment) -> Deployment:
        if not known.finished:
            return known if self._deployments.is_last(known) else await self._as_latest(known)
        if await self._reconciler.serves(known):
            return known
        again = await self._as_latest(known, status="received", container_id=None, **NO_ERROR)
        self._images.submit(again)
        return again

    async def _as_latest(self, known: Deployment, **changes: object) -> Deployment:
        sequence = self._deployments.next_sequence()
        return await self._deployments.change(known.deployment_id, sequence=sequence, **changes)
