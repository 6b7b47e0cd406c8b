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

    It checks the receiver first, so that a shipment which cannot succeed fails before anything is built. It ends when
    the container is running, or when the image is loaded if the receiver starts no containers.

    The events are BUILD_STARTED, BUILD_COMPLETED, TRANSFER_STARTED, and at the end TRANSFER_COMPLETED or
    DEPLOYMENT_FAILED; neither of these two if the command ends while the receiver still deploys. An event that cannot
    be published waits in the outbox and stops nothing.
    """
    # Both requests and the receiver are checked before anything is built or published.
    request = build.request(context, correlation_id or str(uuid4()))
    receiver = session.receiver_url(options.to)
    transfer = options.request(NO_PACKAGE_YET, receiver, correlation_id=request.correlation_id)
    await asyncio.to_thread(check_context, request.build_context, request.dockerfile_path)
    await preflight(session.settings(), session.openers, session.console, request, transfer)
    return await _ship(session, request, transfer)


async def _ship(session: Session, build: ModelContainerPackageInput, request: ModelPackageTransferInput) -> bool:
    span, console = Span(), session.console
    async with session.node() as node:
        shipment = Shipment(node, console, build)
        package, transfer = await shipment.package(), None
        if package.success:
            console.print_lines(*package_lines(package))
            transfer = await shipment.transfer(request.model_copy(update={"package_id": package.package_id}))
            console.print_lines(*(transfer_lines(transfer) if transfer.success else ()))
        metrics = await node.get_metrics()
    last: OutputModel = transfer or package
    console.document(
        {
            "success": last.success,
            "correlation_id": build.correlation_id,
            "package": document(package),
            "transfer": document(transfer) if transfer else None,
            "events": event_documents(shipment.events),
            "metrics": metrics,
        }
    )
    console.print_lines(*facts([("events", events_line(shipment.events)), ("total", duration(span.elapsed_ms))]))
    if not last.success:
        console.failure(last)
    if transfer and not transfer.success:
        console.note(
            f"the package is kept: deployment-sender transfer {package.package_id} --to {request.remote_receiver_url}"
        )
    return last.success
