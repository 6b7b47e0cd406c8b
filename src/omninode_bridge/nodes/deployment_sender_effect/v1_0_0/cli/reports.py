"""What results look like to people."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..models import (
    EventType,
    ModelContainerPackageOutput,
    ModelKafkaPublishOutput,
    ModelPackageTransferOutput,
    OutputModel,
)
from .console import Console, facts
from .units import duration, rate, size

__all__ = [
    "document",
    "event_documents",
    "event_lines",
    "event_place",
    "events_line",
    "figures_lines",
    "package_lines",
    "report",
    "short_id",
    "transfer_lines",
]

Events = Sequence[tuple[EventType, ModelKafkaPublishOutput]]
Output = TypeVar("Output", bound=OutputModel)


def report(console: Console, output: Output, lines: Callable[[Output], list[str]]) -> bool:
    """Print an output, or what failed; answer whether it succeeded."""
    console.document(document(output))
    if output.success:
        console.say(*lines(output))
    else:
        console.failure(output)
    return output.success


def document(output: OutputModel) -> dict[str, object]:
    """Turn an output into what JSON can hold."""
    return output.model_dump(mode="json")


def package_lines(package: ModelContainerPackageOutput) -> list[str]:
    """Tell of a package that is in the store."""
    bytes_, ratio = package.package_size_bytes or 0, package.compression_ratio or 1
    build_ms, export_ms = package.build_duration_ms or 0, package.export_duration_ms or 0
    exported = round(bytes_ / ratio)
    return facts(
        [
            ("package", str(package.package_id)),
            ("image", f"{package.container_name}:{package.image_tag} {short_id(str(package.image_id))}"),
            ("platform", package.platform or "not told by the image"),
            ("file", str(package.package_path)),
            ("size", f"{size(bytes_)} ({package.compression}), {ratio:.0%} of {size(exported)}"),
            ("BLAKE3", str(package.package_checksum)),
            ("build", duration(build_ms)),
            ("export", f"{duration(export_ms)} ({rate(exported, export_ms)} read from the engine)"),
        ]
    )


def transfer_lines(transfer: ModelPackageTransferOutput) -> list[str]:
    """Tell of a package that a receiver took."""
    verified = "verified by the receiver" if transfer.checksum_verified else "not verified by the receiver"
    tries = f", {transfer.attempts} attempts" if transfer.attempts > 1 else ""
    took = duration(transfer.transfer_duration_ms or 0)
    mb_per_second = transfer.transfer_throughput_mbps or 0
    return facts(
        [
            ("deployment", str(transfer.remote_deployment_id)),
            ("status", transfer.deployment_status or "not told by this receiver"),
            ("BLAKE3", verified),
            ("transfer", f"{size(transfer.bytes_transferred)} in {took} ({mb_per_second:.1f} MB/s{tries})"),
        ]
    )


def event_documents(events: Events) -> list[dict[str, object]]:
    """Turn the events of a shipment into what JSON can hold."""
    return [{"event_type": event_type, **document(event)} for event_type, event in events]


def events_line(events: Events) -> str:
    """Tell in short where the events of a shipment are."""
    published = sum(event.event_published for _, event in events)
    queued = sum(event.queued for _, event in events)
    told = [f"{published} published"] if published else []
    told += [f"{queued} in the outbox (`deployment-sender events`)"] if queued else []
    return ", ".join(told) or "none recorded"


def event_lines(events: Events) -> list[str]:
    """Tell where each event is."""
    return facts([(event_type, f"{event_place(event)}: {event.topic}") for event_type, event in events])


def event_place(event: ModelKafkaPublishOutput) -> str:
    """Tell where an event is."""
    if event.event_published:
        took = duration(event.publish_duration_ms or 0)
        return f"published in {took}, partition {event.partition}, offset {event.offset}"
    return "in the outbox" if event.queued else "lost"


def figures_lines(figures: Mapping[str, int | float | None]) -> list[str]:
    """Tell a node's figures in short."""
    rows = []
    for kind in ("builds", "transfers", "publishes"):
        average_ms = figures[f"average_{kind}_duration_ms"]
        took = "" if average_ms is None else f", {duration(average_ms)} on average"
        rows.append((kind, f"{figures[f'successful_{kind}']} of {figures[f'total_{kind}']} successful{took}"))
    return facts(rows)


def short_id(full_id: str) -> str:
    """Shorten the id of an image or a container as `docker` does."""
    return full_id.removeprefix("sha256:")[:12]
