"""`deployment-sender metrics`."""

import asyncio
from typing import Annotated

import typer

from ...errors import TransferError
from ...outbox.journal import OutboxJournal
from ...store.packages import PackageStore
from ..console import facts
from ..receiver_queries import check_url, get_page
from ..session import Session
from ..units import size
from .events import open_outbox

__all__ = ["metrics"]

_OK = 200  # RFC 9110

ReceiverOption = Annotated[str | None, typer.Option(metavar="URL", help="Show the metrics of this receiver instead.")]


async def metrics(session: Session, receiver: ReceiverOption = None) -> bool:
    """Show metrics of the package folder, or of a receiver.

    The numbers are those of the store and the outbox. Counters and timings belong to one process of a node:
    `ship --json` prints its own, and programs call get_metrics of their node.
    """
    if receiver is not None:
        return await _show_receiver(session, check_url(receiver))
    packages = await asyncio.to_thread(PackageStore(session.settings().package_folder).list)
    async with open_outbox(session) as outbox:
        events = await outbox.run(OutboxJournal.counts)
    package_bytes = sum(package.size_bytes for package in packages)
    session.console.document(
        {
            "packages": len(packages),
            "package_bytes": package_bytes,
            **{f"events_{state}": count for state, count in events.items()},
        }
    )
    by_state = ", ".join(f"{count} {state}" for state, count in events.items())
    session.console.print_lines(*facts([("packages", f"{len(packages)}, {size(package_bytes)}"), ("events", by_state)]))
    return True


async def _show_receiver(session: Session, url: str) -> bool:
    from ...telemetry.prometheus import read_samples  # noqa: PLC0415 - 0.1 s to load, for this command only

    response = await get_page(session.settings(), url, "/metrics")
    if response.status != _OK:
        raise TransferError(
            f"{url} responds to /metrics with HTTP {response.status}",
            recovery="Check the address; a receiver of another make may have no metrics.",
        )
    text = response.body.decode(errors="replace")
    try:
        samples = read_samples(text)
    except ValueError as exc:
        raise TransferError(
            f"{url} responds to /metrics with something else than Prometheus' text format: {exc}",
            recovery="Check the address: there may be something else than a receiver.",
        ) from exc
    session.console.result(samples, text.splitlines())
    return True
