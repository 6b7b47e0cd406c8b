"""The checks of `ship` before it builds: which requests the receiver gets, and which responses end the shipment."""

import io
from dataclasses import replace

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.console import Console
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.preflight import preflight
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    InvalidInputError,
    OperationError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelContainerPackageInput,
    ModelPackageTransferInput,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ReceiverEngine, ReceiverInfo
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.sending.target import FakeTargets

URL = "http://receiver:8001"
INFO = ReceiverInfo("1", "now", ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/amd64"))


async def check(targets: FakeTargets, platform: str | None = None, **transfer: object) -> str:
    """Check the receiver; return the notes."""
    stderr = io.StringIO()

    async def open_targets(settings: DeploymentSenderSettings) -> FakeTargets:
        assert settings.connect_timeout_seconds == settings.idle_timeout_seconds
        return targets

    fields = {"package_id": "00000000-0000-0000-0000-000000000000", "remote_receiver_url": URL}
    await preflight(
        DeploymentSenderSettings.load({}, {}),
        Openers(targets=open_targets),
        Console(stderr=stderr),
        ModelContainerPackageInput(container_name="a", image_tag="1", build_context=".", platform=platform),
        ModelPackageTransferInput.read(fields | transfer),
    )
    return stderr.getvalue()


async def test_a_receiver_that_can_do_it_passes() -> None:
    """It is checked against the settings and asked for its description; the connection is closed."""
    targets = FakeTargets(infos=[INFO])

    assert "" == await check(targets, "linux/amd64")
    assert ([URL], [URL], 1) == (targets.opened, targets.checked, targets.closed)


async def test_a_receiver_without_a_description_is_noted() -> None:
    """It may be older, and still accept packages."""
    assert (await check(FakeTargets(infos=[None]))).startswith(f"{URL} does not describe itself: an older receiver")


@pytest.mark.parametrize(
    ("info", "transfer", "message"),
    [
        (replace(INFO, engine=None, engine_error="no socket"), {}, "engine does not respond: no socket"),
        (replace(INFO, engine=None), {}, "engine does not respond: the receiver gives no reason"),
        (INFO, {"wait_for": "running"}, "this receiver starts no containers"),
        (
            INFO,
            {"platform": "linux/arm64"},
            "is to be built for linux/arm64, and the receiver's engine runs linux/amd64",
        ),
    ],
)
async def test_a_receiver_that_cannot_do_it_is_an_error(
    info: ReceiverInfo, transfer: dict[str, str], message: str
) -> None:
    """The message ends with the reassurance that nothing was built; a retry would not help."""
    with pytest.raises(TransferError, match=f"{message}.*; nothing was built") as caught:
        await check(FakeTargets(infos=[info]), **transfer)

    assert not caught.value.retry


async def test_another_platform_is_accepted_on_request() -> None:
    """With `any_platform` the receiver's platform does not matter."""
    assert "" == await check(FakeTargets(infos=[INFO]), "linux/arm64", any_platform=True)


@pytest.mark.parametrize("error", [ReceiverUnreachableError("connection refused"), TransferError("401", retry=False)])
async def test_a_receiver_that_does_not_respond_is_an_error(error: OperationError) -> None:
    """The connection is closed nevertheless."""
    targets = FakeTargets(infos=[error])
    with pytest.raises(type(error)):
        await check(targets)

    assert 1 == targets.closed


async def test_a_receiver_that_is_not_allowed_is_not_asked() -> None:
    """The settings forbid it."""
    targets = FakeTargets(refusal=InvalidInputError("not allowed"), infos=[RuntimeError("asked")])
    with pytest.raises(InvalidInputError, match="not allowed"):
        await check(targets)
