"""`deployment-sender demo`: the whole journey on one machine."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from ...models import ModelContainerPackageInput
from ...settings import ReceiverSettings
from ...telemetry.metrics import Span
from ..demo_steps import NAME, TAG, Demo
from ..session import Session
from ..units import duration

__all__ = ["demo"]

_RECEIVER_EXTRA = {"httptools", "python_multipart", "starlette", "uvicorn"}

# Makes it another image than one that was built from the same context by hand, so that removing it removes it.
_LABELS = {"omninode.deployment.demo": "true"}

ContextOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A folder with a Dockerfile instead of the demo's own.")
]
BaseImage = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE",
        envvar="DEPLOYMENT_SENDER_BASE_IMAGE",
        show_envvar=False,
        help="Build argument BASE_IMAGE. [env: DEPLOYMENT_SENDER_BASE_IMAGE]",
    ),
]
# Who tries it out waits for it; hello is known to stay up.
_WATCH_SECONDS = 1

Run = Annotated[bool, typer.Option("--run/--no-run", help="Whether the receiver starts a container from the image.")]


async def demo(
    session: Session, context: ContextOption = None, base_image: BaseImage = None, *, run: Run = True
) -> bool:
    """Show the whole journey on this machine.

    A Dockerfile becomes a package, travels to a receiver of the demo's own, is verified, loaded and started. Folders
    are temporary; the image stays in the engine, and exit code 0 says that it is there.
    """
    try:
        from ...receiver.server import serving  # noqa: PLC0415 - comes with the extra `receiver`
    except ModuleNotFoundError as exc:
        if exc.name not in _RECEIVER_EXTRA:
            raise
        session.console.error("the demo brings a receiver: pip install 'omninode-deployment-sender[cli,receiver]'")
        return False
    span = Span()
    key = f"demo:{secrets.token_urlsafe(32)}"
    folder = await asyncio.to_thread(_hello) if context is None else context
    build = _build(folder, base_image)
    async with AsyncExitStack() as stack:
        work = await stack.enter_async_context(_temporary_folder())
        steps = Demo(session, build, run=run)
        stack.push_async_callback(steps.clean_up)
        receiver = {"host": "127.0.0.1", "port": 0, "store": work / "receiver", "run": run, "signing_keys": (key,)}
        receiver["start_watch_seconds"] = _WATCH_SECONDS
        url = await stack.enter_async_context(serving(ReceiverSettings.load(receiver), session.open_engine))
        packages = session.package_dir or work / "sender"
        node = await stack.enter_async_context(session.node(package_dir=packages, signing_key=key))
        success = await steps.go(node, url)
    session.console.document({"success": success} | steps.document)
    if success:
        session.console.say(f"Done in {duration(span.elapsed_ms)}. {NAME}:{TAG} stays; all else is removed again.")
    return success


def _build(context: Path, base_image: str | None) -> ModelContainerPackageInput:
    return ModelContainerPackageInput(
        container_name=NAME,
        image_tag=TAG,
        build_context=str(context),
        build_args={"BASE_IMAGE": base_image} if base_image else {},
        labels=_LABELS,
        correlation_id=str(uuid4()),
    )


def _hello() -> Path:
    """Find the demo's context: in the package, where a wheel has it, else in the source tree."""
    inside = Path(__file__).parents[1] / "hello"
    if inside.is_dir():
        return inside
    roots = (folder for folder in inside.parents if (folder / "pyproject.toml").is_file())
    return next(roots, inside.parent) / "examples" / "hello"


@asynccontextmanager
async def _temporary_folder() -> AsyncIterator[Path]:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="deployment-sender-demo-")
    try:
        yield Path(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
