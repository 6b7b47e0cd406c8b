"""`deployment-sender events`: lists the outbox, publishes what waits, drops what cannot be published."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from ...errors import InvalidInputError
from ...models import OutputModel
from ...outbox.entries import OutboxEntry
from ...outbox.journal import OutboxJournal
from ...outbox.publisher import OutboxPublisher
from ...outbox.thread import OutboxThread
from ..console import table
from ..failures import failed_output
from ..reports import document
from ..session import Session
from ..units import when

__all__ = ["drop_event", "flush_events", "list_events", "open_outbox"]

Limit = Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")]
EventId = Annotated[
    str, typer.Argument(metavar="EVENT_ID", show_default=False, help="As `deployment-sender events` lists it.")
]


@asynccontextmanager
async def open_outbox(session: Session) -> AsyncIterator[OutboxThread]:
    """Open the outbox, without a broker."""
    outbox = OutboxThread(session.settings().package_folder / "outbox.sqlite3")
    try:
        yield outbox
    finally:
        await outbox.close()


@asynccontextmanager
async def _open_publisher(session: Session) -> AsyncIterator[OutboxPublisher]:
    """Open the outbox, and the broker when it is first needed, if one is set."""
    settings = session.settings()
    open_publisher = (lambda: session.openers.publisher(settings)) if settings.kafka_bootstrap_servers else None
    async with open_outbox(session) as outbox:
        publisher = OutboxPublisher(outbox, open_publisher)
        try:
            yield publisher
        finally:
            await publisher.close()


async def list_events(session: Session, limit: Limit = 20) -> bool:
    """List the latest events, also those that are sent.

    The broker will never accept an event in state `failed`. It holds up later events with the same key until it is
    dropped or published by a flush.
    """
    async with open_outbox(session) as outbox:
        entries = await outbox.run(OutboxJournal.entries, limit)
    session.console.document({"events": [asdict(entry) for entry in entries]})
    session.console.print_lines(*(_lines(entries) if entries else ["no events"]))
    return True


async def flush_events(session: Session) -> bool:
    """Publish all events that wait, and try those again that failed.

    It continues as long as the broker accepts events; the exit code is 0 if none is left.
    """
    timeout_seconds, sent = session.settings().publish_timeout_seconds, 0
    async with _open_publisher(session) as publisher:
        while True:
            report = await publisher.flush(timeout_seconds)
            sent += report.sent
            if report.error is None or not report.sent:
                break
    error, left = report.error, {"waiting": report.waiting, "failed": report.failed}
    output = OutputModel(success=True) if error is None else failed_output(error)
    session.console.document(document(output) | {"sent": sent} | left)
    session.console.print_lines(f"{sent} sent, {report.waiting} waiting, {report.failed} failed")
    if not output.success:
        session.console.failure(output)
    return output.success


async def drop_event(session: Session, event_id: EventId) -> bool:
    """Drop an event that failed, so that later events with the same key are published.

    Only an event in state `failed` can be dropped.
    """
    async with open_outbox(session) as outbox:
        dropped = await outbox.run(OutboxJournal.drop, event_id)
    if not dropped:
        raise InvalidInputError(
            f"there is no failed event {event_id!r}",
            recovery="Give the id of an event that `deployment-sender events` lists as failed.",
        )
    session.console.result({"success": True, "event_id": event_id}, [f"dropped {event_id}"])
    return True


def _lines(entries: list[OutboxEntry]) -> list[str]:
    rows = [
        (entry.event_id, when(datetime.fromisoformat(entry.accepted_at)), entry.event_type, entry.state, _detail(entry))
        for entry in entries
    ]
    return table(("EVENT", "ACCEPTED (UTC)", "TYPE", "STATE", ""), rows)


def _detail(entry: OutboxEntry) -> str:
    if entry.delivery is not None:
        return f"partition {entry.delivery.partition}, offset {entry.delivery.offset}"
    return entry.last_error or ""
