"""`deployment-sender doctor`."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from .checkups import Finding, broker, engine, package_folder, receiver
from .receivers import check_url
from .session import Session

__all__ = ["doctor"]


async def doctor(
    session: Session,
    to: Annotated[str | None, typer.Option(metavar="URL", help="A receiver. [env: DEFAULT_RECEIVER_URL]")] = None,
) -> bool:
    """Check what a shipment needs.

    Engine, package folder, broker, receiver, key and clock each get a verdict, ok, warn or fail, and what to do. The
    exit code is 1 if any fails.
    """
    settings, openers = session.settings(), session.openers
    given = to or settings.default_receiver_url
    url = check_url(given) if given else None
    *local, remote = await asyncio.gather(
        engine(settings, openers),
        package_folder(settings),
        broker(settings, openers),
        receiver(settings, url),
    )
    findings: list[Finding] = [*local, *remote]
    success = all(finding.verdict != "fail" for finding in findings)
    session.console.document({"success": success, "checks": [asdict(finding) for finding in findings]})
    session.console.say(*_lines(findings))
    return success


def _lines(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{finding.verdict:<4}  {finding.subject:<8}  {finding.message}"
        if finding.advice:
            yield f"{'':<16}what to do: {finding.advice}"
