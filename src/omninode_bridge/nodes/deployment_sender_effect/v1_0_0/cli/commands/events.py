"""`deployment-sender events`: what is in the outbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from ...errors import DeploymentSenderError, ErrorCode
from ...handlers.outcome import failure
from ...models import OutputModel
from ...outbox.entries import OutboxEntry
from ...outbox.publisher import OutboxPublisher
from ..console import table
from ..reports import document
from ..session import Session
from ..units import when

__all__ = ["drop_event", "flush_events", "list_events", "outbox"]

Limit = Annotated[int, typer.Option(min=1, metavar="N", help="How many.")]
EventId = Annotated[
    str, typer.Argument(metavar="EVENT_ID", show_default=False, help="As `deployment-sender events` lists it.")
]


@asynccontextmanager
async def outbox(session: Session) -> AsyncIterator[OutboxPublisher]:
    """Open the outbox, with the broker behind it if there is to be one."""
    settings = session.settings()
    open_publisher = (lambda: session.openers.publisher(settings)) if settings.kafka_bootstrap_servers else None
    courier = OutboxPublisher(settings.package_folder / "outbox.sqlite3", open_publisher)
    try:
        yield courier
    finally:
        await courier.close()


async def list_events(session: Session, limit: Limit = 20) -> bool:
    """List the latest events, sent ones too.

    One that is set aside was refused for good: it keeps back what has the same key, until it is dropped.
    """
    async with outbox(session) as courier:
        entries = await courier.listing(limit)
    session.console.document({"events": [asdict(entry) for entry in entries]})
    session.console.say(*(_lines(entries) if entries else ["no events"]))
    return True


async def flush_events(session: Session) -> bool:
    """Publish what waits, and try again what was set aside.

    It goes on as long as the broker takes events; exit code 0 says that none is left.
    """
    timeout_seconds, sent = session.settings().publish_timeout_seconds, 0
    async with outbox(session) as courier:
        while True:
            report = await courier.flush(timeout_seconds)
            sent += report.sent
            if report.error is None or not report.sent:
                break
    error, left = report.error, {"waiting": report.waiting, "failed": report.failed}
    output = OutputModel(success=True) if error is None else OutputModel(**failure(error))
    session.console.document(document(output) | {"sent": sent} | left)
    session.console.say(f"{sent} sent, {report.waiting} waiting, {report.failed} set aside")
    if not output.success:
        session.console.failure(output)
    return output.success


async def drop_event(session: Session, event_id: EventId) -> bool:
    """Forget an event that was set aside.

    What has the same key is published then.
    """
    async with outbox(session) as courier:
        dropped = await courier.drop(event_id)
    if not dropped:
        raise DeploymentSenderError(
            ErrorCode.VALIDATION_ERROR,
            f"no event {event_id!r} is set aside",
            recovery="Take the id of one that `deployment-sender events` lists as failed.",
        )
    session.console.answer({"success": True, "event_id": event_id}, [f"dropped {event_id}"])
    return True


def _lines(entries: list[OutboxEntry]) -> list[str]:
    rows = [
        (entry.event_id, when(datetime.fromisoformat(entry.accepted_at)), entry.event_type, entry.state, _why(entry))
        for entry in entries
    ]
    return table(("EVENT", "ACCEPTED (UTC)", "TYPE", "STATE", ""), rows)


def _why(entry: OutboxEntry) -> str:
    if entry.delivery is not None:
        return f"partition {entry.delivery.partition}, offset {entry.delivery.offset}"
    return entry.last_error or ""
