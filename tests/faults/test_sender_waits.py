"""A receiver that is unreachable for a while, or whose disk is full: the sender waits, and reports the reason."""

import asyncio
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode, ModelPackageTransferInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress, ProgressCallback
from support.process.clock import put_forward
from support.process.ports import free_port
from support.receiver.process import ReceiverProcess
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.node import Sender

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """The sender."""
    return Sender(tmp_path / "packages")


@pytest.fixture
def package(sender: Sender) -> str:
    """The package."""
    return sender.keep_image(100 << 10)


def late_at(stage: str, times: int, *, seconds: float) -> ProgressCallback:
    """Put the clock forward when a stage is reported for the nth time."""
    reported: list[Progress] = []

    def on_progress(step: Progress) -> None:
        if step.stage == stage:
            reported.append(step)
            if len(reported) == times:
                put_forward(seconds)

    return on_progress


async def test_a_receiver_that_comes_back_gets_the_package(sender: Sender, package: str, tmp_path: Path) -> None:
    """The number of attempts does not matter; each wait is reported, with the reason."""
    port = free_port()
    waits: list[str] = []
    third = asyncio.Event()

    def on_progress(step: Progress) -> None:
        if step.stage == "retry":
            waits.append(str(step.line))
            if len(waits) == 3:
                third.set()

    request = ModelPackageTransferInput(
        package_id=package, remote_receiver_url=f"http://127.0.0.1:{port}", wait_for="received"
    )
    receiver = ReceiverProcess(tmp_path / "receiver", "--port", str(port), environ=NO_ENGINE)
    async with sender.node(transfer_attempts=None) as node:
        sending = asyncio.create_task(node.transfer_package(request, on_progress=on_progress))
        await third.wait()
        await asyncio.to_thread(receiver.__enter__)
        try:
            output = await sending
        finally:
            await asyncio.to_thread(receiver.stop)

    assert (True, True) == (output.success, output.checksum_verified)
    assert 3 < output.attempts
    assert "Connection refused; trying again in " in waits[0]


async def test_a_receiver_that_stays_unreachable_ends_with_the_transfers_time(sender: Sender, package: str) -> None:
    """The time is this transfer's own, and the code is that of the last failure."""
    async with sender.node(transfer_attempts=None) as node:
        output = await node.transfer_package(
            ModelPackageTransferInput(
                package_id=package, remote_receiver_url="http://127.0.0.1:1", transfer_timeout_seconds=1800
            ),
            on_progress=late_at("retry", 3, seconds=1800),
        )

    assert (3, ErrorCode.REMOTE_UNREACHABLE) == (output.attempts, output.error_code)
    assert str(output.error_message).startswith(
        "the receiver did not have the package after 1800 s and 3 attempts; the last failure: no connection to"
    )


async def test_a_full_disk_after_the_receipt_is_not_a_failed_deployment(sender: Sender, package: str) -> None:
    """The receiver reports no status for a while; it has the package, and ends as loaded."""
    state: dict[str, object] = {"deployment_id": "d-1", "status": "loaded"}
    async with (
        ScriptedReceiver(
            receipt(status="received", status_url="deployments/d-1"),
            Reply(503, {"error_code": "TRANSFER_FAILED", "error_message": "the disk is full"}),
            Reply(500, {"error_code": "BUILD_FAILED", "error_message": "the disk is full"}),
            Reply(body=state),
        ) as receiver,
        sender.node() as node,
    ):
        output = await sender.send(node, package, receiver.url, wait_for="loaded")

    assert (True, "loaded", False) == (output.success, output.deployment_status, output.deployment_continues)


async def test_a_disk_that_stays_full_is_reported_with_the_deployment(sender: Sender, package: str) -> None:
    """The message has the deployment, and the recovery has the command to check it; nothing has failed."""
    trouble = Reply(503, {"error_code": "TRANSFER_FAILED", "error_message": "the disk is full"})
    async with (
        ScriptedReceiver(receipt(status="received", status_url="deployments/d-1"), trouble) as receiver,
        sender.node(deployment_timeout_seconds=900) as node,
    ):
        url = receiver.url
        output = await node.transfer_package(
            ModelPackageTransferInput(package_id=package, remote_receiver_url=url),
            on_progress=late_at("retry", 2, seconds=900),
        )

    assert (False, "d-1", True) == (output.success, output.remote_deployment_id, output.deployment_continues)
    assert (
        "the receiver has the package, verified, as deployment d-1 and continues with it, but after 900 s it is"
        " received, not loaded; the receiver does not respond now: the receiver responded 503 Service Unavailable:"
        " the disk is full"
    ) == output.error_message
    assert f"deployment-sender status d-1 --to {url}" in str(output.recovery)
