"""`deployment-sender events`."""

from typing import TYPE_CHECKING

from support.kafka.publisher import FakeBroker, Fault

if TYPE_CHECKING:
    from ..conftest import CommandLine


def test_an_empty_outbox_is_reported_as_empty(cli: "CommandLine") -> None:
    """The exit code is 0."""
    printed = cli.run("events")

    assert (0, "no events\n") == (printed.code, printed.out)


def test_events_are_listed_latest_first(cli: "CommandLine") -> None:
    """They are in columns, as many as were requested."""
    for event_type in ("BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED"):
        cli.run("publish", event_type)
    _, *lines = cli.run("events", "--limit", "2").out.splitlines()

    assert [["TRANSFER_STARTED", "waiting"], ["BUILD_COMPLETED", "waiting"]] == [line.split()[3:] for line in lines]


def test_events_are_documents_for_programs(cli: "CommandLine") -> None:
    """They have every field of the outbox."""
    published = cli.document("publish", "BUILD_STARTED", "--correlation-id", "c-1")
    (event,) = cli.document("events", "list")["events"]

    assert (published["event_id"], "BUILD_STARTED", "waiting", None) == (
        event["event_id"],
        event["event_type"],
        event["state"],
        event["offset"],
    )


def test_nothing_to_flush_is_a_success(cli: "CommandLine") -> None:
    """Also without a broker."""
    printed = cli.run("events", "flush")

    assert (0, "0 sent, 0 waiting, 0 failed\n") == (printed.code, printed.out)


def test_a_flush_without_a_broker_fails(cli: "CommandLine") -> None:
    """The events still wait; the exit code is 1."""
    cli.run("publish", "BUILD_STARTED")
    printed = cli.run("events", "flush")

    assert (1, "0 sent, 1 waiting, 0 failed\n") == (printed.code, printed.out)
    assert "error: KAFKA_PUBLISH_FAILED: no broker is set\nwhat to do: Set KAFKA_BOOTSTRAP_SERVERS" in printed.err


def test_a_flush_that_leaves_events_prints_a_document(cli: "CommandLine") -> None:
    """The counts are beside the error."""
    cli.run("publish", "BUILD_STARTED")
    document = cli.document("events", "flush")

    assert (False, "KAFKA_PUBLISH_FAILED", 0, 1, 0) == (
        document["success"],
        document["error_code"],
        document["sent"],
        document["waiting"],
        document["failed"],
    )


def test_a_waiting_event_cannot_be_dropped(cli: "CommandLine") -> None:
    """It would be lost by a slip."""
    event_id = cli.document("publish", "BUILD_STARTED")["event_id"]
    printed = cli.run("events", "drop", event_id)

    assert 2 == printed.code
    assert f"there is no failed event '{event_id}'" in printed.err


def test_a_flush_publishes_waiting_events(cli: "CommandLine", broker: FakeBroker) -> None:
    """In the order in which they were recorded."""
    broker.down = True
    for event_type in ("BUILD_STARTED", "DEPLOYMENT_FAILED"):
        cli.run("publish", event_type, "--correlation-id", "c-1")
    broker.down = False
    printed = cli.run("events", "flush")

    assert (0, "2 sent, 0 waiting, 0 failed\n") == (printed.code, printed.out)
    assert 2 == len(broker.records)


def test_a_failed_event_can_be_dropped(cli: "CommandLine", broker: FakeBroker) -> None:
    """The list does not have it any longer."""
    broker.script("c-1", Fault.NEVER)
    event_id = cli.document("publish", "BUILD_STARTED", "--correlation-id", "c-1")["event_id"]
    printed = cli.run("events", "drop", event_id)

    assert (0, f"dropped {event_id}\n") == (printed.code, printed.out)
    assert "no events\n" == cli.run("events").out
