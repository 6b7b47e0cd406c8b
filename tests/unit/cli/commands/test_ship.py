"""`deployment-sender ship`."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ErrorCode,
    InvalidInputError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    BuildRequest,
    DeploymentState,
    PackageContent,
    Receipt,
    ReceiverEngine,
    ReceiverInfo,
)
from support.engine.engines import FakeEngine
from support.kafka.publisher import FakeBroker
from support.sending.target import LATE_SECONDS, FakeTargets, LateTargets

if TYPE_CHECKING:
    from ..conftest import CommandLine

URL = "http://127.0.0.1:9"
STATUS_URL = f"{URL}/deployments/d-1"
AMD64 = ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/amd64")


def arguments(cli: "CommandLine", *more: str) -> list[str]:
    """Return a complete command line."""
    return ["ship", cli.context, "--name", "a", "--tag", "1", "--to", URL, *more]


def event_types(document: Any) -> list[str]:
    """Return the types of the events of a shipment."""
    return [event["event_type"] for event in document["events"]]


def recorded(cli: "CommandLine") -> list[str]:
    """Return the types of the events in the outbox, oldest first."""
    return [str(event["event_type"]) for event in reversed(cli.document("events")["events"])]


def test_a_shipment_is_package_and_transfer(cli: "CommandLine") -> None:
    """Both results, the events and the time are on stdout."""
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    names = [line.split()[0] for line in printed.out.splitlines()]
    assert ["package", "image", "platform", "file", "size", "BLAKE3", "build", "export"] == names[:8]
    assert ["deployment", "status", "BLAKE3", "transfer", "events", "total"] == names[8:]


def test_each_step_is_an_event(cli: "CommandLine") -> None:
    """They are in the order in which they happened, and have one correlation id."""
    document = cli.document(*arguments(cli))

    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "TRANSFER_COMPLETED"] == event_types(document)
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "TRANSFER_COMPLETED"] == recorded(cli)


def test_every_step_has_one_correlation_id(cli: "CommandLine") -> None:
    """It is made if none is given."""
    document = cli.document(*arguments(cli))
    result_ids = {part["correlation_id"] for part in (document, document["package"], document["transfer"])}

    assert {document["correlation_id"]} == result_ids | {event["correlation_id"] for event in document["events"]}
    assert 36 == len(document["correlation_id"])


def test_a_correlation_id_may_be_given(cli: "CommandLine") -> None:
    """It is used unchanged."""
    assert "deploy-001" == cli.document(*arguments(cli, "--correlation-id", "deploy-001"))["correlation_id"]


def test_programs_get_results_events_and_metrics(cli: "CommandLine") -> None:
    """In one document."""
    document = cli.document(*arguments(cli))

    assert {"success", "correlation_id", "package", "transfer", "events", "metrics"} == set(document)
    assert (True, 1, 1) == (
        document["success"],
        document["metrics"]["successful_builds"],
        document["metrics"]["successful_transfers"],
    )


def test_a_build_that_fails_ends_the_shipment(cli: "CommandLine") -> None:
    """DEPLOYMENT_FAILED is recorded, and nothing is sent."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    printed = cli.run(*arguments(cli))

    assert (1, []) == (printed.code, cli.targets.sent)
    assert "error: BUILD_FAILED: no such base image" in printed.err
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_a_transfer_that_fails_keeps_the_package(cli: "CommandLine") -> None:
    """The command to send it again is printed."""
    cli.targets.receipts = [TransferError("it refuses", retry=False)]
    printed = cli.run(*arguments(cli))
    (manifest,) = cli.document("packages")["packages"]

    assert 1 == printed.code
    assert f"deployment-sender transfer {manifest['package_id']} --to {URL}" in printed.err
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_a_failed_shipment_is_a_document_too(cli: "CommandLine") -> None:
    """Steps that were not reached are null."""
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
def test_a_mistake_is_reported_before_anything_happens(cli: "CommandLine", change: list[str]) -> None:
    """There is no build and no event."""
    printed = cli.run(*arguments(cli, *change))

    assert (2, [], []) == (printed.code, cli.engine.calls, recorded(cli))


def test_a_forbidden_receiver_is_refused_before_the_build(cli: "CommandLine") -> None:
    """There is no build and no event."""
    cli.targets.refusal = InvalidInputError("not there")
    printed = cli.run(*arguments(cli))

    assert (2, [], []) == (printed.code, cli.engine.calls, recorded(cli))
    assert "not there" in printed.err


def info(engine: ReceiverEngine | None = AMD64, **event_types: Any) -> ReceiverInfo:
    """Return what a receiver reports of itself."""
    return ReceiverInfo("1.0.0", "2026-01-01T00:00:00Z", engine, **event_types)


@pytest.mark.parametrize(
    ("reported", "more", "words"),
    [
        (ReceiverUnreachableError("not there"), [], "REMOTE_UNREACHABLE: not there"),
        (TransferError("401", retry=False), [], "TRANSFER_FAILED: 401"),
        (info(None, engine_error="no socket"), [], "the receiver's engine does not respond: no socket"),
        (info(), ["--wait-for", "running"], "this receiver starts no containers"),
        (info(), ["--platform", "linux/arm64"], "built for linux/arm64, and the receiver's engine runs linux/amd64"),
    ],
    ids=["not there", "key", "engine", "run", "platform"],
)
def test_a_receiver_that_cannot_deploy_is_reported_before_the_build(
    cli: "CommandLine", reported: ReceiverInfo | Exception, more: list[str], words: str
) -> None:
    """The advice is printed; there is no build and no event."""
    cli.targets.infos = [reported]
    printed = cli.run(*arguments(cli, *more))

    assert (1, [], []) == (printed.code, cli.engine.calls, recorded(cli))
    assert words in printed.err
    assert "what to do: " in printed.err


@pytest.mark.parametrize(
    ("reported", "more"),
    [
        (info(), []),
        (info(will_run=True), ["--wait-for", "loaded"]),
        (info(), ["--platform", "linux/amd64"]),
        (info(replace(AMD64, platform="linux/arm64")), ["--platform", "linux/amd64", "--any-platform"]),
    ],
)
def test_a_receiver_that_can_deploy_gets_the_package(
    cli: "CommandLine", reported: ReceiverInfo, more: list[str]
) -> None:
    """Whether it starts containers or not."""
    cli.targets.infos = [reported]

    assert 0 == cli.run(*arguments(cli, *more)).code


def test_a_receiver_without_info_is_noted(cli: "CommandLine") -> None:
    """The address may be wrong, and a receiver of another make is no fault."""
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    assert printed.err.startswith(f"{URL} does not describe itself: an older receiver, one of another make, or a wrong")


def follow(cli: "CommandLine", *states: DeploymentState) -> None:
    """Make the receiver accept the package, and report these states."""
    cli.targets.receipts = [Receipt("d-1", checksum_verified=True, status="received", status_url=STATUS_URL)]
    cli.targets.states = list(states)


def test_it_waits_until_the_container_runs(cli: "CommandLine") -> None:
    """If the receiver starts containers; each step of the receiver is a line."""
    follow(cli, DeploymentState("d-1", "loaded", will_run=True), DeploymentState("d-1", "running", will_run=True))
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    assert "status      running" in printed.out
    assert (
        "  the receiver has the package and has verified it: deployment d-1\n"
        "  the image is loaded, and the receiver is starting the container\n"
        "  the container is running\n"
    ) in printed.err


def test_a_deployment_that_fails_has_its_log_on_the_screen(cli: "CommandLine") -> None:
    """Every line of it."""
    log = "\n".join(f"line {n}" for n in range(100))
    follow(cli, DeploymentState("d-1", "failed", error_code="BUILD_FAILED", error_message=log))
    printed = cli.run(*arguments(cli))

    assert 1 == printed.code
    assert f"could not deploy it: BUILD_FAILED: {log}\n" in printed.err
    assert "DEPLOYMENT_FAILED" == recorded(cli)[-1]


def test_a_wait_that_ends_has_not_failed_the_deployment(cli: "CommandLine", monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver may still deploy: the command for its status is printed, and no event is published."""
    monkeypatch.setenv("DEPLOYMENT_SENDER_DEPLOYMENT_TIMEOUT_SECONDS", str(LATE_SECONDS))
    cli.targets = LateTargets()
    follow(cli, DeploymentState("d-1", "received", error_message="the engine does not answer"))
    printed = cli.run(*arguments(cli))

    assert 1 == printed.code
    assert "as deployment d-1 and continues with it, but after 3600 s it is received, not loaded" in printed.err
    assert "the engine does not answer" in printed.err
    assert f"deployment-sender status d-1 --to {URL}" in printed.err
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED"] == recorded(cli)


def test_events_go_to_the_broker(cli: "CommandLine", broker: FakeBroker) -> None:
    """Under the correlation id until there is a package, then under the package's id."""
    document = cli.document(*arguments(cli, "--correlation-id", "c-1"))
    package_id = document["package"]["package_id"]

    assert ["c-1", package_id, package_id, package_id] == [record.key for record in broker.records]
    assert [0, 1, 2, 3] == [event["offset"] for event in document["events"]]


def test_the_events_name_the_platform(cli: "CommandLine", broker: FakeBroker) -> None:
    """From the moment when it is known, also if none was requested."""
    cli.run(*arguments(cli))
    payloads = [json.loads(value)["payload"] for value in broker.values]

    assert [None, "linux/amd64", "linux/amd64", "linux/amd64"] == [one.get("platform") for one in payloads]


def test_no_event_has_a_build_argument(cli: "CommandLine", broker: FakeBroker) -> None:
    """Nor a path of this machine."""
    cli.run(*arguments(cli, "--build-arg", "TOKEN=s3cret"))

    assert [] == [value for value in broker.values if b"s3cret" in value or str(cli.folder).encode() in value]


def test_a_broker_that_does_not_respond_stops_nothing(cli: "CommandLine", broker: FakeBroker) -> None:
    """Each event waits in the outbox, and a line says so."""
    broker.down = True
    printed = cli.run(*arguments(cli))

    assert 0 == printed.code
    assert "the event BUILD_STARTED waits in the outbox: KAFKA_PUBLISH_FAILED: " in printed.err
    assert "4 in the outbox" in printed.out


async def ctrl_c() -> NoReturn:
    """Send SIGINT to this process, and wait for its effect."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()
    raise AssertionError


class InterruptedEngine(FakeEngine):
    """Is interrupted while it builds."""

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        await ctrl_c()


class InterruptedTargets(FakeTargets):
    """Is interrupted while it sends."""

    async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        await ctrl_c()


def test_an_interrupted_build_is_recorded(cli: "CommandLine") -> None:
    """As DEPLOYMENT_FAILED; the exit code is 130."""
    cli.engine = InterruptedEngine()
    printed = cli.run(*arguments(cli))

    assert (130, "") == (printed.code, printed.out)
    assert printed.err.endswith("error: interrupted\n")
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)


def test_an_interrupted_transfer_is_recorded(cli: "CommandLine") -> None:
    """Its package is kept."""
    cli.targets = InterruptedTargets()
    printed = cli.run(*arguments(cli))

    assert 130 == printed.code
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "DEPLOYMENT_FAILED"] == recorded(cli)
    assert 1 == len(cli.document("packages")["packages"])
    assert " was not sent and is kept: deployment-sender transfer " in printed.err


class InterruptedWait(FakeTargets):
    """Is interrupted while the deployment is polled."""

    async def status(self, url: str, receipt: Receipt) -> DeploymentState:
        await ctrl_c()


@pytest.mark.parametrize("more", [[], ["--quiet"]])
def test_an_interrupted_wait_prints_what_is_known(cli: "CommandLine", more: list[str]) -> None:
    """Sent, verified, the deployment's id and the command for its status; no event reports a failure."""
    cli.targets = InterruptedWait()
    follow(cli)
    printed = cli.run(*arguments(cli, *more))

    assert 130 == printed.code
    assert " is sent and verified; the receiver continues with deployment d-1\n" in printed.err
    assert f"to check: deployment-sender status d-1 --to {URL}\n" in printed.err
    assert printed.err.endswith("error: interrupted\n")
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED"] == recorded(cli)


def test_an_interrupted_wait_is_a_document_for_programs(cli: "CommandLine") -> None:
    """It is the only one."""
    cli.targets = InterruptedWait()
    follow(cli)
    document = cli.document(*arguments(cli))

    assert (True, "d-1", True, True) == (
        document["interrupted"],
        document["remote_deployment_id"],
        document["checksum_verified"],
        document["deployment_continues"],
    )


class InterruptedResponse(FakeTargets):
    """Is interrupted when all bytes are sent and no response has arrived yet."""

    async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        on_sent(content.size_bytes)
        await ctrl_c()


def test_a_package_that_may_have_arrived_has_not_failed(cli: "CommandLine") -> None:
    """It is not known, and no event reports it."""
    cli.targets = InterruptedResponse()
    printed = cli.run(*arguments(cli))

    assert 130 == printed.code
    assert "it may have it and continue" in printed.err
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED"] == recorded(cli)
