"""Formats results for people."""

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
    "metrics_lines",
    "package_lines",
    "report",
    "short_id",
    "transfer_lines",
]

Events = Sequence[tuple[EventType, ModelKafkaPublishOutput]]
Output = TypeVar("Output", bound=OutputModel)


def report(console: Console, output: Output, lines: Callable[[Output], list[str]]) -> bool:
    """Print an output, or its error; return whether it succeeded."""
    console.document(document(output))
    if output.success:
        console.print_lines(*lines(output))
    else:
        console.failure(output)
    return output.success


def document(output: OutputModel) -> dict[str, object]:
    """Return an output as a JSON document."""
    return output.model_dump(mode="json")


def package_lines(package: ModelContainerPackageOutput) -> list[str]:
    """Describe a package that was made."""
    bytes_, ratio = package.package_size_bytes or 0, package.compression_ratio or 1
    build_ms, export_ms = package.build_duration_ms or 0, package.export_duration_ms or 0
    exported = round(bytes_ / ratio)
    speed = rate(exported, export_ms)
    return facts(
        [
            ("package", str(package.package_id)),
            ("image", f"{package.container_name}:{package.image_tag} {short_id(str(package.image_id))}"),
            ("platform", package.platform or "not set in the image"),
            ("file", str(package.package_path)),
            ("size", f"{size(bytes_)} ({package.compression}), {ratio:.0%} of {size(exported)}"),
            ("BLAKE3", str(package.package_checksum)),
            ("build", duration(build_ms)),
            ("export", duration(export_ms) + (f" ({speed} read from the engine)" if speed else "")),
        ]
    )


def transfer_lines(transfer: ModelPackageTransferOutput) -> list[str]:
    """Describe a transfer that succeeded."""
    return facts(
        [
            ("deployment", str(transfer.remote_deployment_id)),
            ("status", transfer.deployment_status or "not reported by this receiver"),
            ("BLAKE3", "verified by the receiver" if transfer.checksum_verified else "not verified by the receiver"),
            ("transfer", _transfer_line(transfer)),
        ]
    )


def _transfer_line(transfer: ModelPackageTransferOutput) -> str:
    size_bytes, mb_per_second = transfer.bytes_transferred, transfer.transfer_throughput_mbps
    attempt_ms = size_bytes / 1000 / mb_per_second if mb_per_second else 0  # of the attempt that succeeded
    speed = [found] if (found := rate(size_bytes, attempt_ms)) else []
    attempts = [f"{transfer.attempts} attempts"] if transfer.attempts > 1 else []
    line = f"{size(size_bytes)} in {duration(transfer.transfer_duration_ms or 0)}"
    details = ", ".join([*speed, *attempts])
    return f"{line} ({details})" if details else line


def event_documents(events: Events) -> list[dict[str, object]]:
    """Return the events of a shipment as JSON documents."""
    return [{"event_type": event_type, **document(event)} for event_type, event in events]


def events_line(events: Events) -> str:
    """Return in one line how many events of a shipment are published and how many wait."""
    published = sum(event.event_published for _, event in events)
    queued = sum(event.queued for _, event in events)
    parts = [f"{published} published"] if published else []
    parts += [f"{queued} in the outbox (`deployment-sender events`)"] if queued else []
    return ", ".join(parts) or "none recorded"


def event_lines(events: Events) -> list[str]:
    """Return a line for each event, with its place."""
    return facts([(event_type, f"{event_place(event)}: {event.topic}") for event_type, event in events])


def event_place(event: ModelKafkaPublishOutput) -> str:
    """Describe where an event is: on the broker, in the outbox, or lost."""
    if event.event_published:
        took = duration(event.publish_duration_ms or 0)
        return f"published in {took}, partition {event.partition}, offset {event.offset}"
    return "in the outbox" if event.queued else "lost"


def metrics_lines(metrics: Mapping[str, int | float | None]) -> list[str]:
    """Return a line for each kind of work of a node: how much succeeded, and how long it took."""
    rows = []
    for kind in ("builds", "transfers", "publishes"):
        average_ms = metrics[f"average_{kind}_duration_ms"]
        average = "" if average_ms is None else f", {duration(average_ms)} on average"
        rows.append((kind, f"{metrics[f'successful_{kind}']} of {metrics[f'total_{kind}']} successful{average}"))
    return facts(rows)


def short_id(full_id: str) -> str:
    """Shorten the id of an image or a container as `docker` does."""
    return full_id.removeprefix("sha256:")[:12]
