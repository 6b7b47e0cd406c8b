"""The numbered steps of the demo."""

from contextlib import suppress
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelContainerPackageInput, ModelPackageTransferInput
from ..node import NodeDeploymentSenderEffect
from .console import facts
from .demo_engine import DemoEngine
from .reports import document, event_documents, event_lines, figures_lines, package_lines, short_id, transfer_lines
from .session import Session
from .shipment import Shipment

__all__ = ["NAME", "TAG", "Demo"]

NAME, TAG = "deployment-sender-demo", "1.0"
_IMAGE = f"{NAME}:{TAG}"
_NO_BASE_IMAGE = (
    "if the base image is missing: docker pull busybox, or set DEPLOYMENT_SENDER_BASE_IMAGE to an image with a shell"
)


class Demo:
    """Goes through the journey and tells of it.

    Args:
        session: Prints, and opens the engine.
        build: What to build.
        run: Whether the receiver starts a container.

    Attributes:
        document: What happened, for programs.
    """

    def __init__(self, session: Session, build: ModelContainerPackageInput, *, run: bool) -> None:
        self.document: dict[str, object] = {}
        self._session = session
        self._console = session.console
        self._engine = DemoEngine(session.settings())
        self._build = build
        self._run = run
        self._package_id = ""
        self._steps = 0

    async def go(self, node: NodeDeploymentSenderEffect, url: str) -> bool:
        """Do every step; answer whether the image is there on the other side."""
        self._begin("A receiver listens: the other side")
        self._tell(f"{url}; it takes what is signed with its key, and nothing else")
        self.document["receiver_url"] = url
        journey = Shipment(node, self._console.without_step_lines(), self._build)
        success = await self._travel(journey, url)
        self._begin("Each step was an event")
        self._tell(*event_lines(journey.events))
        self.document["events"] = event_documents(journey.events)
        self._begin("The node has counted")
        figures = await node.get_metrics()
        self._tell(*figures_lines(figures))
        self.document["metrics"] = figures
        return success

    async def clean_up(self) -> None:
        """Remove the container that the receiver started, also one of which nobody has heard."""
        if not self._package_id:
            return
        try:
            container_id = await self._engine.container_of(self._package_id)
            if container_id is not None:
                await self._engine.remove_container(container_id)
        except DeploymentSenderError as error:
            self._console.note(f"not cleaned up: {error.message}")

    async def _travel(self, journey: Shipment, url: str) -> bool:
        self._begin(f"A Dockerfile becomes a package: {_shown(self._build.build_context)}")
        with suppress(DeploymentSenderError):  # that of an earlier demo would stay without a name
            await self._engine.remove_image(_IMAGE)
        package = await journey.package()
        self.document["package"] = document(package)
        if not package.success or package.package_id is None:
            self._console.failure(package)
            if package.error_code is ErrorCode.BUILD_FAILED:
                self._console.note(_NO_BASE_IMAGE)
            return False
        self._package_id = package.package_id
        self._tell(*package_lines(package))
        await self._take_away()
        self._begin("The package travels, is verified and loaded")
        transfer = await journey.transfer(
            ModelPackageTransferInput(
                package_id=package.package_id,
                remote_receiver_url=url,
                wait_for="running" if self._run else "loaded",
                correlation_id=self._build.correlation_id,
            )
        )
        self.document["transfer"] = document(transfer)
        if not transfer.success:
            self._console.failure(transfer)
            return False
        self._tell(*transfer_lines(transfer))
        return await self._look()

    async def _take_away(self) -> None:
        self._begin("The engine forgets the image")
        try:
            gone = await self._engine.remove_image(_IMAGE)
            others = "only the package has it now" if gone else "the engine has the same image under another name"
            self._tell(f"{_IMAGE} is removed; {others}")
        except DeploymentSenderError as error:
            self._tell(f"{_IMAGE} stays: {error.message}")

    async def _look(self) -> bool:
        self._begin("The engine of the other side has the image")
        engine = await self._session.open_engine()
        try:
            image = await engine.inspect(_IMAGE)
        finally:
            await engine.close()
        if image is None:
            self._console.error(f"{_IMAGE} is not in the engine, though the receiver said so")
            return False
        rows = [("image", f"{_IMAGE} {short_id(image.image_id)}")]
        container_id = await self._engine.container_of(self._package_id) if self._run else None
        if container_id is not None:
            words = await self._engine.first_words(container_id)
            rows += [("container", short_id(container_id)), ("it says", words)]
            self.document["container"] = {"container_id": container_id, "first_words": words}
        self._tell(*facts(rows))
        return True

    def _begin(self, title: str) -> None:
        self._steps += 1
        self._console.say(f"{self._steps}. {title}")

    def _tell(self, *lines: str) -> None:
        self._console.say(*(f"   {line}" for line in lines))


def _shown(folder: str) -> str:
    here = Path.cwd()
    return str(Path(folder).relative_to(here)) if Path(folder).is_relative_to(here) else folder
