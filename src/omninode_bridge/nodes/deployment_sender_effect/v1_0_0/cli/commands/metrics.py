"""`deployment-sender metrics`."""

import asyncio
import re
from typing import Annotated

import typer

from ...errors import DeploymentSenderError, ErrorCode
from ...store.packages import PackageStore
from ..console import facts
from ..receiver_queries import check_url, get_page
from ..session import Session
from ..units import size
from .events import outbox

__all__ = ["metrics"]

_OK = 200  # RFC 9110
_SAMPLE = re.compile(r"([^#].*) (\d+(?:\.\d+)?)")  # prometheus.io/docs/instrumenting/exposition_formats

ReceiverOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this receiver for its own figures instead.")
]


async def metrics(session: Session, receiver: ReceiverOption = None) -> bool:
    """Show figures of the package folder, or of a receiver.

    They are what the store and the outbox hold. Counters and timings belong to one process of a node: `ship --json`
    tells those of its own, and programs ask their node for get_metrics.
    """
    if receiver is not None:
        return await _of_receiver(session, check_url(receiver))
    packages = await asyncio.to_thread(PackageStore(session.settings().package_folder).list)
    async with outbox(session) as courier:
        events = await courier.counts()
    package_bytes = sum(package.size_bytes for package in packages)
    session.console.document(
        {
            "packages": len(packages),
            "package_bytes": package_bytes,
            **{f"events_{state}": count for state, count in events.items()},
        }
    )
    told = ", ".join(f"{count} {state}" for state, count in events.items())
    session.console.say(*facts([("packages", f"{len(packages)}, {size(package_bytes)}"), ("events", told)]))
    return True


async def _of_receiver(session: Session, url: str) -> bool:
    answer = await get_page(session.settings(), url, "/metrics")
    if answer.status != _OK:
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"{url} answers HTTP {answer.status} to /metrics",
            recovery="Check the address; a receiver of another make may have no figures.",
        )
    lines = answer.body.decode(errors="replace").splitlines()
    samples = [sample for line in lines if (sample := _SAMPLE.fullmatch(line))]
    session.console.answer({sample[1]: float(sample[2]) for sample in samples}, lines)
    return True
