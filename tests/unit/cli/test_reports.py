"""Results as people read them."""

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.reports import (
    event_documents,
    event_lines,
    events_line,
    metrics_lines,
    package_lines,
    short_id,
    transfer_lines,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    EventType,
    ModelContainerPackageOutput,
    ModelKafkaPublishOutput,
    ModelPackageTransferOutput,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.catalogue import SENDER
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Metrics

PACKAGE_ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
PACKAGE = ModelContainerPackageOutput(
    success=True,
    container_name="hello",
    image_tag="1.0",
    package_id=PACKAGE_ID,
    image_id=f"sha256:{'0123456789ab' * 5}cdef",
    platform="linux/arm64",
    package_path="/store/image.tar.gz",
    package_checksum="a" * 64,
    package_size_bytes=4_000_000,
    package_size_mb=4.0,
    compression="gzip",
    compression_ratio=0.4,
    build_duration_ms=1500,
    export_duration_ms=200,
)
TRANSFER = ModelPackageTransferOutput(
    success=True,
    transfer_success=True,
    package_id=PACKAGE_ID,
    remote_deployment_id="d-1",
    deployment_status="loaded",
    checksum_verified=True,
    transfer_duration_ms=40,
    transfer_throughput_mbps=100.0,
    bytes_transferred=4_000_000,
    attempts=1,
)
SENT = ModelKafkaPublishOutput(
    success=True, event_published=True, topic="t.v1", partition=2, offset=7, publish_duration_ms=12
)
QUEUED = ModelKafkaPublishOutput(success=True, event_published=False, queued=True, topic="t.v1")
LOST = ModelKafkaPublishOutput(success=False, event_published=False, topic="t.v1")


def test_a_package_has_eight_lines() -> None:
    """The rate is that of the bytes read from the engine."""
    assert [
        f"package     {PACKAGE_ID}",
        "image       hello:1.0 0123456789ab",
        "platform    linux/arm64",
        "file        /store/image.tar.gz",
        "size        4.0 MB (gzip), 40% of 10.0 MB",
        f"BLAKE3      {'a' * 64}",
        "build       1.5 s",
        "export      200 ms (50.0 MB/s read from the engine)",
    ] == package_lines(PACKAGE)


def test_a_transfer_has_four_lines() -> None:
    """The rate is in MB/s."""
    assert [
        "deployment  d-1",
        "status      loaded",
        "BLAKE3      verified by the receiver",
        "transfer    4.0 MB in 40 ms (100.0 MB/s)",
    ] == transfer_lines(TRANSFER)


def test_facts_that_a_receiver_does_not_report_are_marked() -> None:
    """A receiver of another make may have no statuses, and may not verify."""
    foreign = TRANSFER.model_copy(update={"deployment_status": None, "checksum_verified": False, "attempts": 3})

    assert [
        "deployment  d-1",
        "status      not reported by this receiver",
        "BLAKE3      not verified by the receiver",
        "transfer    4.0 MB in 40 ms (100.0 MB/s, 3 attempts)",
    ] == transfer_lines(foreign)


def test_a_tiny_package_has_no_rate() -> None:
    """Neither that of its export nor that of its transfer would mean anything."""
    package = PACKAGE.model_copy(update={"package_size_bytes": 700, "export_duration_ms": 46})
    transfer = TRANSFER.model_copy(update={"bytes_transferred": 734, "transfer_throughput_mbps": 0.014})

    assert "export      46 ms" == package_lines(package)[-1]
    assert "transfer    734 bytes in 40 ms" == transfer_lines(transfer)[-1]
    assert (
        "transfer    734 bytes in 40 ms (2 attempts)" == transfer_lines(transfer.model_copy(update={"attempts": 2}))[-1]
    )


def test_each_event_has_a_line() -> None:
    """With its place; the numbers are the broker's."""
    events = [(EventType.BUILD_STARTED, SENT), (EventType.BUILD_COMPLETED, QUEUED), (EventType.TRANSFER_STARTED, LOST)]

    assert [
        "BUILD_STARTED     published in 12 ms, partition 2, offset 7: t.v1",
        "BUILD_COMPLETED   in the outbox: t.v1",
        "TRANSFER_STARTED  lost: t.v1",
    ] == event_lines(events)


def test_events_are_counted_in_one_line() -> None:
    """Published ones and waiting ones."""
    events = [(EventType.BUILD_STARTED, SENT), (EventType.BUILD_COMPLETED, QUEUED)]

    assert "1 published, 1 in the outbox (`deployment-sender events`)" == events_line(events)
    assert "none recorded" == events_line([(EventType.BUILD_STARTED, LOST)])


def test_the_document_of_an_event_has_its_type() -> None:
    """Its output does not have it."""
    (document,) = event_documents([(EventType.BUILD_STARTED, SENT)])

    assert ("BUILD_STARTED", 7) == (document["event_type"], document["offset"])


def test_metrics_have_a_line_for_each_kind_of_work() -> None:
    """With an average only if there is one."""
    metrics = Metrics(SENDER)
    with metrics.span("builds", "a:1"):
        pass

    assert [
        "builds      1 of 1 successful, 0 ms on average",
        "transfers   0 of 0 successful",
        "publishes   0 of 0 successful",
    ] == metrics_lines(metrics.snapshot())


def test_an_id_is_shortened_as_docker_does() -> None:
    """To twelve digits."""
    assert "0123456789ab" == short_id(f"sha256:0123456789ab{'c' * 52}") == short_id("0123456789abcdef")
