"""`deployment-sender publish`."""

from typing import TYPE_CHECKING

import pytest

from support.kafka.publisher import FakeBroker

if TYPE_CHECKING:
    from ..conftest import CommandLine


def test_an_event_is_recorded_without_a_broker(cli: "CommandLine") -> None:
    """The place of the event is printed."""
    printed = cli.run("publish", "BUILD_STARTED", "--name", "a", "--tag", "1", "--payload", '{"by": "hand"}')

    assert 0 == printed.code
    assert ["event", "topic", "status"] == [line.split()[0] for line in printed.out.splitlines()]
    assert "in the outbox" in printed.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("TEA_STARTED",), "event_type"),
        (("BUILD_STARTED", "--payload", "{"), "--payload is not JSON:"),
        (("BUILD_STARTED", "--payload", "[]"), "--payload is not a JSON object"),
        (("BUILD_STARTED", "--package-id", "1"), "package_id"),
    ],
)
def test_a_wrong_event_is_a_mistake(cli: "CommandLine", arguments: tuple[str, ...], words: str) -> None:
    """Nothing is recorded."""
    printed = cli.run("publish", *arguments)

    assert 2 == printed.code
    assert words in printed.err
    assert [] == cli.document("events")["events"]


def test_an_event_is_published(cli: "CommandLine", broker: FakeBroker) -> None:
    """Its place on the broker is printed."""
    printed = cli.run("publish", "BUILD_STARTED")

    assert 0 == printed.code
    assert "partition 0, offset 0" in printed.out
    assert "partition 0, offset 0" in cli.run("events").out


def test_an_event_that_is_not_acknowledged_is_an_error(cli: "CommandLine", broker: FakeBroker) -> None:
    """The exit code is 1, and the list has the reason."""
    broker.down = True
    printed = cli.run("publish", "BUILD_STARTED")

    assert 1 == printed.code
    assert "error: KAFKA_PUBLISH_FAILED: the broker does not respond" in printed.err
    assert "the broker does not respond" in cli.run("events").out
