"""The numbered steps of the demo, and the receiver and node that take them.

This module needs the extra `receiver`; `commands/demo.py` imports it when the demo runs.
"""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from ..errors import ErrorCode
from ..models import ModelContainerPackageInput, ModelPackageTransferInput
from ..node import NodeDeploymentSenderEffect
from ..receiver.server import serving
from ..settings import ReceiverSettings
from .console import facts
from .demo_engine import DemoEngine
from .failures import SHOWN_ERRORS
from .reports import document, event_documents, event_lines, metrics_lines, package_lines, short_id, transfer_lines
from .session import Session
from .shipment import Shipment

__all__ = ["run_demo"]

_START_WATCH_SECONDS = 1  # shorter than the receiver's default: the user waits for it, and hello is known to stay up
_KEY_BYTES = 32  # as many as the receiver asks for at least
_NO_BASE_IMAGE = (
    "if the base image is missing: docker pull busybox, or set DEPLOYMENT_SENDER_BASE_IMAGE to an image with a shell"
)


async def run_demo(session: Session, build: ModelContainerPackageInput, *, run: bool) -> dict[str, object]:
    """Start a receiver and a node in temporary folders, go through the steps, and remove all but the image.

    Args:
        session: Prints, and opens the engine.
        build: What to build.
        run: Whether the receiver starts a container.

    Returns:
        The document for programs; its `success` says whether the image arrived.
    """
    key = f"demo:{secrets.token_urlsafe(_KEY_BYTES)}"
    async with AsyncExitStack() as stack:
        work = await stack.enter_async_context(_temporary_folder())
        steps = _DemoSteps(session, build, run=run)
        stack.push_async_callback(steps.clean_up)
        receiver = {"host": "127.0.0.1", "port": 0, "store": work / "receiver", "run": run, "signing_keys": (key,)}
        receiver["start_watch_seconds"] = _START_WATCH_SECONDS
        url = await stack.enter_async_context(serving(ReceiverSettings.load(receiver), session.open_engine))
        packages = session.package_dir or work / "sender"
        node = await stack.enter_async_context(session.node(package_dir=packages, signing_key=key))
        success = await steps.run(node, url)
    return {"success": success} | steps.document


class _DemoSteps:
    """Goes through the steps and prints each.

    Attributes:
        document: What happened, for programs.
    """

    def __init__(self, session: Session, build: ModelContainerPackageInput, *, run: bool) -> None:
        self.document: dict[str, object] = {}
        self._session = session
        self._console = session.console
        self._engine = DemoEngine(session.settings())
        self._build = build
        self._image = f"{build.container_name}:{build.image_tag}"
        self._run = run
        self._package_id = ""
        self._steps = 0

    async def run(self, node: NodeDeploymentSenderEffect, url: str) -> bool:
        """Go through all steps; return whether the image is in the engine at the end."""
        self._begin("A receiver listens, as on another machine")
        self._print(f"{url}; it accepts only requests signed with its key")
        self.document["receiver_url"] = url
        shipment = Shipment(node, self._console.without_step_lines(), self._build)
        success = await self._ship(shipment, url)
        self._begin("Each step was an event")
        self._print(*event_lines(shipment.events))
        self.document["events"] = event_documents(shipment.events)
        self._begin("The node has counted")
        metrics = await node.get_metrics()
        self._print(*metrics_lines(metrics))
        self.document["metrics"] = metrics
        return success

    async def clean_up(self) -> None:
        """Remove the container that the receiver started, also if its start was never reported."""
        if not self._package_id:
            return
        try:
            container_id = await self._engine.container_of(self._package_id)
            if container_id is not None:
                await self._engine.remove_container(container_id)
        except SHOWN_ERRORS as error:
            self._console.note(f"not cleaned up: {error.message}")

    async def _ship(self, shipment: Shipment, url: str) -> bool:
        self._begin(f"A Dockerfile becomes a package: {_shortened(self._build.build_context)}")
        with suppress(*SHOWN_ERRORS):  # the image of an earlier demo would stay without a name
            await self._engine.remove_image(self._image)
        package = await shipment.package()
        self.document["package"] = document(package)
        if not package.success or package.package_id is None:
            self._console.failure(package)
            if package.error_code is ErrorCode.BUILD_FAILED:
                self._console.note(_NO_BASE_IMAGE)
            return False
        self._package_id = package.package_id
        self._print(*package_lines(package))
        await self._remove_image()
        self._begin("The package is sent, verified and loaded")
        transfer = await shipment.transfer(
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
        self._print(*transfer_lines(transfer))
        return await self._check_image()

    async def _remove_image(self) -> None:
        self._begin("The image is removed from the engine")
        try:
            gone = await self._engine.remove_image(self._image)
            others = "only the package has it now" if gone else "the engine has the same image under another name"
            self._print(f"{self._image} is removed; {others}")
        except SHOWN_ERRORS as error:
            self._print(f"{self._image} stays: {error.message}")

    async def _check_image(self) -> bool:
        self._begin("The receiver's engine has the image")
        engine = await self._session.open_engine()
        try:
            image = await engine.inspect(self._image)
        finally:
            await engine.close()
        if image is None:
            self._console.error(f"{self._image} is not in the engine, though the receiver reported it as loaded")
            return False
        rows = [("image", f"{self._image} {short_id(image.image_id)}")]
        container_id = await self._engine.container_of(self._package_id) if self._run else None
        if container_id is not None:
            line = await self._engine.first_line(container_id)
            rows += [("container", short_id(container_id)), ("it prints", line)]
            self.document["container"] = {"container_id": container_id, "first_words": line}
        self._print(*facts(rows))
        return True

    def _begin(self, title: str) -> None:
        self._steps += 1
        self._console.print_lines(f"{self._steps}. {title}")

    def _print(self, *lines: str) -> None:
        self._console.print_lines(*(f"   {line}" for line in lines))


def _shortened(folder: str) -> str:
    here = Path.cwd()
    return str(Path(folder).relative_to(here)) if Path(folder).is_relative_to(here) else folder


@asynccontextmanager
async def _temporary_folder() -> AsyncIterator[Path]:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="deployment-sender-demo-")
    try:
        yield Path(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
