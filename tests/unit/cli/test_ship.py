"""`deployment-sender ship`."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest, PackageUpload, Receipt
from support.engine import FakeEngine
from support.publisher import FakeBroker
from support.uploader import FakeUploader

if TYPE_CHECKING:
    from .conftest import CommandLine

URL = "http://127.0.0.1:9"


def arguments(cli: "CommandLine", *more: str) -> list[str]:
    """A command line that is complete."""
    return ["ship", cli.context, "--name", "a", "--tag", "1", "--to", URL, *more]


def told(document: Any) -> list[str]:
    """The types of the events of a shipment."""
    return [event["event_type"] for event in document["events"]]


def recorded(cli: "CommandLine") -> list[str]:
    """The types of the events in the outbox, oldest first."""
    return [str(event["event_type"]) for event in reversed(cli.document("events")["events"])]


def test_a_shipment_is_package_and_transfer(cli: "CommandLine") -> None:
    """Both results, the events and the time, on stdout."""
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    names = [line.split()[0] for line in printed.out.splitlines()]
    assert ["package", "image", "platform", "file", "size", "BLAKE3", "build", "export"] == names[:8]
    assert ["deployment", "status", "BLAKE3", "transfer", "events", "total"] == names[8:]


def test_each_step_is_an_event(cli: "CommandLine") -> None:
    """In the order in which they happened, with one correlation id."""
    document = cli.document(*arguments(cli))

    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "TRANSFER_COMPLETED"] == told(document)
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "TRANSFER_COMPLETED"] == recorded(cli)


def test_one_correlation_id_goes_through_all_of_it(cli: "CommandLine") -> None:
    """It is made if none is given."""
    document = cli.document(*arguments(cli))
    told_ids = {part["correlation_id"] for part in (document, document["package"], document["transfer"])}

    assert {document["correlation_id"]} == told_ids | {event["correlation_id"] for event in document["events"]}
    assert 36 == len(document["correlation_id"])


def test_a_correlation_id_may_be_given(cli: "CommandLine") -> None:
    """It is taken as it is."""
    assert "deploy-001" == cli.document(*arguments(cli, "--correlation-id", "deploy-001"))["correlation_id"]


def test_programs_get_both_results_the_events_and_the_figures(cli: "CommandLine") -> None:
    """In one document."""
    document = cli.document(*arguments(cli))

    assert {"success", "correlation_id", "package", "transfer", "events", "metrics"} == set(document)
    assert (True, 1, 1) == (
        document["success"],
        document["metrics"]["successful_builds"],
        document["metrics"]["successful_transfers"],
    )


def test_a_build_that_fails_is_the_end(cli: "CommandLine") -> None:
    """DEPLOYMENT_FAILED is recorded, and nothing is sent."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    printed = cli.run(*arguments(cli))

    assert (1, []) == (printed.code, cli.uploader.uploads)
    assert "error: BUILD_FAILED: no such base image" in printed.err
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_a_transfer_that_fails_leaves_the_package(cli: "CommandLine") -> None:
    """And says how to send it again."""
    cli.uploader.receipts = [DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "it refuses", retry=False)]
    printed = cli.run(*arguments(cli))
    (manifest,) = cli.document("packages")["packages"]

    assert 1 == printed.code
    assert f"deployment-sender transfer {manifest['package_id']} --to {URL}" in printed.err
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_a_failed_shipment_is_a_document_too(cli: "CommandLine") -> None:
    """What was not reached is null."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    document = cli.document(*arguments(cli))

    assert (False, "BUILD_FAILED", None) == (
        document["success"],
        document["package"]["error_code"],
        document["transfer"],
    )


@pytest.mark.parametrize(
    "change",
    [["--to", "ftp://x"], ["--wait-for", "tea"], ["--tag", "-"], ["--dockerfile", "../x"], ["--build-arg", "="]],
)
def test_a_mistake_shows_before_anything_happens(cli: "CommandLine", change: list[str]) -> None:
    """No build, no event."""
    printed = cli.run(*arguments(cli, *change))

    assert (2, [], []) == (printed.code, cli.engine.calls, recorded(cli))


def test_a_receiver_that_must_not_be_sent_to_is_refused_before_anything_is_built(cli: "CommandLine") -> None:
    """No build, no event."""
    cli.uploader.refusal = DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "not there")
    printed = cli.run(*arguments(cli))

    assert (2, [], []) == (printed.code, cli.engine.calls, recorded(cli))
    assert "not there" in printed.err


def test_events_go_to_the_broker(cli: "CommandLine", broker: FakeBroker) -> None:
    """Under the correlation id until there is a package, then under the package's."""
    document = cli.document(*arguments(cli, "--correlation-id", "c-1"))
    package_id = document["package"]["package_id"]

    assert ["c-1", package_id, package_id, package_id] == [record.key for record in broker.records]
    assert [0, 1, 2, 3] == [event["offset"] for event in document["events"]]


def test_the_events_name_the_platform(cli: "CommandLine", broker: FakeBroker) -> None:
    """From the moment when it is known, also where none was asked for."""
    cli.run(*arguments(cli))
    payloads = [json.loads(value)["payload"] for value in broker.values]

    assert [None, "linux/amd64", "linux/amd64", "linux/amd64"] == [one.get("platform") for one in payloads]


def test_an_event_never_tells_a_build_argument(cli: "CommandLine", broker: FakeBroker) -> None:
    """Nor a path of this machine."""
    cli.run(*arguments(cli, "--build-arg", "TOKEN=s3cret"))

    assert [] == [value for value in broker.values if b"s3cret" in value or str(cli.folder).encode() in value]


def test_a_broker_that_does_not_answer_stops_nothing(cli: "CommandLine", broker: FakeBroker) -> None:
    """Each event waits in the outbox, and a line says so."""
    broker.down = True
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    assert "the event BUILD_STARTED waits in the outbox: KAFKA_PUBLISH_FAILED: " in printed.err
    assert "4 in the outbox" in printed.out


async def ctrl_c() -> NoReturn:
    """Have it pressed, and wait for what it does."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()
    raise AssertionError


class InterruptedEngine(FakeEngine):
    """Ctrl-C is pressed while it builds."""

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        await ctrl_c()


class InterruptedUploader(FakeUploader):
    """Ctrl-C is pressed while it sends."""

    async def send(self, upload: PackageUpload, on_sent: Callable[[int], None]) -> Receipt:
        await ctrl_c()


def test_an_interrupted_build_is_recorded(cli: "CommandLine") -> None:
    """As DEPLOYMENT_FAILED; the exit code is 130."""
    cli.engine = InterruptedEngine()
    printed = cli.run(*arguments(cli))

    assert (130, "") == (printed.code, printed.out)
    assert printed.err.endswith("error: interrupted\n")
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_an_interrupted_transfer_is_recorded(cli: "CommandLine") -> None:
    """Its package stays."""
    cli.uploader = InterruptedUploader()
    printed = cli.run(*arguments(cli))

    assert 130 == printed.code
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)
    assert 1 == len(cli.document("packages")["packages"])
