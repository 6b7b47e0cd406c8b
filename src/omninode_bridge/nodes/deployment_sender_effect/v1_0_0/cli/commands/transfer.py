"""`deployment-sender transfer`."""

from typing import Annotated

import typer

from ..options import CorrelationId, PackageId, TransferOptions
from ..reports import report, transfer_lines
from ..session import Session
from ..shipment import transfer_with_progress
from ..watch import Watch

__all__ = ["transfer"]

Verify = Annotated[
    bool | None,
    typer.Option("--verify/--no-verify", help="Whether to check the checksum; if not given, as when it was packaged."),
]


async def transfer(
    session: Session,
    package_id: PackageId,
    options: TransferOptions,
    verify: Verify = None,
    correlation_id: CorrelationId = None,
) -> bool:
    """Send a package to a receiver and wait until it is deployed.

    That is when the container is running, or when the image is loaded if the receiver starts no containers.
    """
    url = session.receiver_url(options.to)
    request = options.request(package_id, url, verify=verify, correlation_id=correlation_id)
    async with session.node() as node:
        output = await transfer_with_progress(node, session.console, request, Watch())
    return report(session.console, output, transfer_lines)
