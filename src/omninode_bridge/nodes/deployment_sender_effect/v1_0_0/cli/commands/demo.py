"""`deployment-sender demo`: package, transfer, verify and run, on one machine."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from ...models import ModelContainerPackageInput
from ...telemetry.metrics import Span
from ..session import Session
from ..units import duration

__all__ = ["demo"]

_NAME, _TAG = "deployment-sender-demo", "1.0"
_RECEIVER_EXTRA = {"httptools", "prometheus_client", "python_multipart", "starlette", "uvicorn"}

# Makes the image differ from one that was built from the same context by hand, so that its removal really removes it.
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
Run = Annotated[bool, typer.Option("--run/--no-run", help="Whether the receiver starts a container from the image.")]


async def demo(
    session: Session, context: ContextOption = None, base_image: BaseImage = None, *, run: Run = True
) -> bool:
    """Show all steps on this machine.

    A Dockerfile becomes a package, which is sent to a receiver that the demo starts, verified, loaded and started. The
    folders are temporary; the image stays in the engine if the exit code is 0.
    """
    try:
        from ..demo_steps import run_demo  # noqa: PLC0415 - needs the extra `receiver`
    except ModuleNotFoundError as exc:
        if exc.name not in _RECEIVER_EXTRA:
            raise
        session.console.error("the demo needs a receiver: pip install 'omninode-deployment-sender[cli,receiver]'")
        return False
    span = Span()
    folder = await asyncio.to_thread(_hello) if context is None else context
    document = await run_demo(session, _build(folder, base_image), run=run)
    session.console.document(document)
    if not document["success"]:
        return False
    session.console.print_lines(
        f"Done in {duration(span.elapsed_ms)}. {_NAME}:{_TAG} stays; everything else is removed again."
    )
    return True


def _build(context: Path, base_image: str | None) -> ModelContainerPackageInput:
    return ModelContainerPackageInput(
        container_name=_NAME,
        image_tag=_TAG,
        build_context=str(context),
        build_args={"BASE_IMAGE": base_image} if base_image else {},
        labels=_LABELS,
        correlation_id=str(uuid4()),
    )


def _hello() -> Path:
    """Return the folder of the demo's own Dockerfile: in the package if it is a wheel's, else in the source tree."""
    inside = Path(__file__).parents[1] / "hello"
    if inside.is_dir():
        return inside
    roots = (folder for folder in inside.parents if (folder / "pyproject.toml").is_file())
    return next(roots, inside.parent) / "examples" / "hello"
