"""`deployment-sender ship`."""

import asyncio
from uuid import uuid4

from ...handlers.build_context import check_context
from ...models import ModelContainerPackageInput, ModelPackageTransferInput, OutputModel
from ...telemetry.metrics import Span
from ..console import facts
from ..options import BuildOptions, ContextFolder, CorrelationId, TransferOptions
from ..preflight import preflight
from ..receiver_queries import NO_PACKAGE_YET
from ..reports import document, event_documents, events_line, package_lines, transfer_lines
from ..session import Session
from ..shipment import Shipment
from ..units import duration

__all__ = ["ship"]


async def ship(
    session: Session,
    context: ContextFolder,
    build: BuildOptions,
    options: TransferOptions,
    correlation_id: CorrelationId = None,
) -> bool:
    """Package an image and send it, with an event at each step.

    The receiver is asked first, so that what would fail at the end fails before anything is built. It is waited for
    until the container is running, or the image loaded where the receiver starts none.

    The events are BUILD_STARTED, BUILD_COMPLETED, TRANSFER_STARTED and TRANSFER_COMPLETED, or DEPLOYMENT_FAILED
    where it failed; none of the last two where the receiver goes on and nobody waits any longer. One that cannot be
    published waits in the outbox and stops nothing.
    """
    # What is wrong with either request, or with the receiver, shows before anything is built or told.
    request = build.request(context, correlation_id or str(uuid4()))
    receiver = session.receiver(options.to)
    transfer = options.request(NO_PACKAGE_YET, receiver, correlation_id=request.correlation_id)
    await asyncio.to_thread(check_context, request.build_context, request.dockerfile_path)
    await preflight(session.settings(), session.openers, session.console, request, transfer)
    return await _ship(session, request, transfer)


async def _ship(session: Session, build: ModelContainerPackageInput, request: ModelPackageTransferInput) -> bool:
    span, console = Span(), session.console
    async with session.node() as node:
        journey = Shipment(node, console, build)
        package, transfer = await journey.package(), None
        if package.success:
            console.say(*package_lines(package))
            transfer = await journey.transfer(request.model_copy(update={"package_id": package.package_id}))
            console.say(*(transfer_lines(transfer) if transfer.success else ()))
        metrics = await node.get_metrics()
    last: OutputModel = transfer or package
    console.document(
        {
            "success": last.success,
            "correlation_id": build.correlation_id,
            "package": document(package),
            "transfer": document(transfer) if transfer else None,
            "events": event_documents(journey.events),
            "metrics": metrics,
        }
    )
    console.say(*facts([("events", events_line(journey.events)), ("total", duration(span.elapsed_ms))]))
    if not last.success:
        console.failure(last)
    if transfer and not transfer.success:
        console.note(
            f"the package is kept: deployment-sender transfer {package.package_id} --to {request.remote_receiver_url}"
        )
    return last.success
