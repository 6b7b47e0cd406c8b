"""`deployment-sender doctor`."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from ..doctor_checks import Finding, check_broker, check_engine, check_package_folder
from ..receiver_checks import receiver
from ..receiver_queries import check_url
from ..session import Session

__all__ = ["doctor"]


async def doctor(
    session: Session,
    to: Annotated[str | None, typer.Option(metavar="URL", help="A receiver. [env: DEFAULT_RECEIVER_URL]")] = None,
) -> bool:
    """Check what a shipment needs.

    Engine, package folder, broker, receiver, key, clock, and the receiver's engine and disk each get a verdict, ok,
    warn or fail, and advice. The exit code is 1 if any fails.
    """
    settings, openers = session.settings(), session.openers
    given = to or settings.default_receiver_url
    url = check_url(given) if given else None
    (engine, info), *others = await asyncio.gather(
        check_engine(settings, openers), check_package_folder(settings), check_broker(settings, openers)
    )
    findings: list[Finding] = [engine, *others, *await receiver(settings, url, info)]
    success = all(finding.verdict != "fail" for finding in findings)
    session.console.document({"success": success, "checks": [asdict(finding) for finding in findings]})
    session.console.print_lines(*_lines(findings))
    return success


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        yield f"{finding.verdict:<4}  {finding.subject:<{width}}  {finding.message}"
        if finding.advice:
            yield f"{'':<{width + 8}}what to do: {finding.advice}"
