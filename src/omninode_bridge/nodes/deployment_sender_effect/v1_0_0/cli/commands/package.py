"""`deployment-sender package`."""

from ..options import BuildOptions, ContextFolder, CorrelationId
from ..reports import package_lines, report
from ..session import Session
from ..shipment import package_with_progress

__all__ = ["package"]


async def package(
    session: Session, context: ContextFolder, build: BuildOptions, correlation_id: CorrelationId = None
) -> bool:
    """Build an image and store it as a package, to be transferred."""
    request = build.request(context, correlation_id)
    async with session.node() as node:
        output = await package_with_progress(node, session.console, request)
    return report(session.console, output, package_lines)
