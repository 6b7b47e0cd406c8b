"""The rules of a transfer: which packages are never sent, what is retried, and what the output reports."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ErrorCode,
    InvalidInputError,
    ReceiverUnreachableError,
    StorageError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.transfer_package import TransferPackageHandler
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeploymentState,
    DeployTargets,
    PackageContent,
    Progress,
    ProgressCallback,
    Receipt,
    ReceiverEngine,
    ReceiverInfo,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers, Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses
from support.archives.stored import keep_package
from support.eventually import eventually
from support.sending.target import LATE_SECONDS, FakeTargets, LateTargets

CONTENT = os.urandom(100_000)
URL = "http://receiver:8001"
AT_ONCE = Pauses(first_seconds=0, spread_seconds=0)
BUSY = TransferError("busy", retry=True)
REFUSED = TransferError("refused", retry=False)


async def no_verification() -> None:
    """Return at once."""


@dataclass
class Sender:
    """A handler with a package in its store and fake targets."""

    folder: Path
    manifest: PackageManifest
    path: Path
    targets: DeployTargets
    settings: dict[str, Any]
    pauses: Pauses = AT_ONCE

    def __post_init__(self) -> None:
        async def open_targets(_: DeploymentSenderSettings) -> DeployTargets:
            return self.targets

        settings = DeploymentSenderSettings.load({"package_dir": self.folder} | self.settings, {})
        self.resources = Resources(settings, Openers(targets=open_targets))
        self.handler = TransferPackageHandler(self.resources, self.pauses)

    async def transfer(self, on_progress: ProgressCallback | None = None, **given: Any) -> ModelPackageTransferOutput:
        """Transfer the package."""
        values = {"package_id": self.manifest.package_id, "remote_receiver_url": URL} | given
        return await self.handler.handle(ModelPackageTransferInput.read(values), on_progress)

    async def refused(self, **given: Any) -> str:
        """Make a transfer that must be refused; return the message. Nothing was sent and nothing counted."""
        with pytest.raises(InvalidInputError) as caught:
            await self.transfer(**given)
        assert 0 == self.resources.metrics.snapshot()["total_transfers"]
        return caught.value.message

    def counts(self) -> dict[str, int | float | None]:
        """The transfers' counters."""
        figures = self.resources.metrics.snapshot()
        return {outcome: figures[f"{outcome}_transfers"] for outcome in ("total", "successful", "failed", "cancelled")}


MakeSender = Callable[..., Sender]


@pytest.fixture
def make(tmp_path: Path) -> MakeSender:
    """Make a sender."""
    packages = {verify: keep_package(tmp_path, CONTENT, verify_checksum=verify) for verify in (True, False)}

    def made(targets: DeployTargets | None = None, *, kept_verify: bool = True, **settings: Any) -> Sender:
        manifest, path = packages[kept_verify]
        return Sender(tmp_path, manifest, path, targets or FakeTargets(), settings)

    return made


async def test_the_output_reports_the_transfer(make: MakeSender) -> None:
    """It has the receiver's receipt and our own figures."""
    sender = make(FakeTargets([Receipt("d-1", checksum_verified=True, status="loaded")]))
    output = await sender.transfer(correlation_id="deploy-001")

    assert output.transfer_duration_ms is not None
    assert output.transfer_duration_ms > 0
    assert output.transfer_throughput_mbps is not None
    assert output.transfer_throughput_mbps > 0
    assert (
        ModelPackageTransferOutput(
            success=True,
            transfer_success=True,
            correlation_id="deploy-001",
            package_id=sender.manifest.package_id,
            remote_deployment_id="d-1",
            deployment_status="loaded",
            checksum_verified=True,
            transfer_duration_ms=output.transfer_duration_ms,
            transfer_throughput_mbps=output.transfer_throughput_mbps,
            bytes_transferred=len(CONTENT),
            attempts=1,
            stages_ms=output.stages_ms,
        )
        == output
    )
    assert {"total": 1, "successful": 1, "failed": 0, "cancelled": 0} == sender.counts()
    assert len(CONTENT) == sender.resources.metrics.snapshot()["total_bytes_transferred"]


class UseRecorder(FakeTargets):
    """Records whether its package is unused while it is sent."""

    def __init__(self, store: PackageStore) -> None:
        super().__init__()
        self.store = store
        self.seen: list[bool] = []

    async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        await asyncio.to_thread(self.record_use, content.identity.package_id)
        return await super().deploy(url, content, on_sent)

    def record_use(self, package_id: str) -> None:
        """Record whether the package is unused."""
        with self.store.unused(package_id) as is_unused:
            self.seen.append(is_unused)


@pytest.mark.parametrize("kept_verify", [True, False])
async def test_a_package_is_in_use_while_it_is_sent(make: MakeSender, tmp_path: Path, kept_verify: bool) -> None:
    """No process can prune it; after the receipt it is unused."""
    targets = UseRecorder(PackageStore(tmp_path))
    sender = make(targets, kept_verify=kept_verify)

    await sender.transfer()
    await asyncio.to_thread(targets.record_use, sender.manifest.package_id)

    assert [False, True] == targets.seen


async def test_the_package_is_sent_as_its_manifest_describes_it(make: MakeSender) -> None:
    """Every field comes from the store, the image by its config digest, and the file from its open descriptor."""
    targets = FakeTargets()
    sender = make(targets)
    await sender.transfer()
    content, manifest = targets.sent[0], sender.manifest

    assert ([CONTENT], [URL]) == (targets.contents, targets.sent_to)
    assert (manifest.identity, "image.tar.gz", True) == (content.identity, content.filename, content.verify_checksum)
    assert len(CONTENT) == content.size_bytes
    assert content.file.closed


@pytest.mark.parametrize(("given", "sent"), [("deploy-001", "deploy-001"), (None, "build-001")])
async def test_the_correlation_id_is_sent(make: MakeSender, given: str | None, sent: str) -> None:
    """It is the caller's own, or that of the build; the output has only the caller's."""
    targets = FakeTargets()
    output = await make(targets).transfer(correlation_id=given)

    assert sent == targets.sent[0].correlation_id
    assert given == output.correlation_id


async def test_facts_that_fit_the_package_are_accepted(make: MakeSender) -> None:
    """Path, checksum, name and tag of the package change nothing."""
    sender = make()
    output = await sender.transfer(
        package_path=str(sender.path),
        package_checksum=sender.manifest.checksum,
        container_name="hello",
        image_tag="1.0",
    )

    assert output.success


async def test_another_path_is_refused(make: MakeSender, tmp_path: Path) -> None:
    """Another file or a link to the store's own is not sent."""
    sender = make()
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(CONTENT)
    link.symlink_to(sender.path)

    for path in (str(other), str(link), "image.tar.gz", f"{sender.path}/../../etc"):
        assert "package_path" in await sender.refused(package_path=path)


@pytest.mark.parametrize(("name", "value"), [("container_name", "other"), ("image_tag", "2.0")])
async def test_another_name_or_tag_is_refused(make: MakeSender, name: str, value: str) -> None:
    """The caller means another package."""
    assert name in await make().refused(**{name: value})


async def test_an_unknown_package_is_refused(make: MakeSender) -> None:
    """There is nothing to send."""
    assert "there is no package" in await make().refused(package_id="00000000-0000-4000-8000-000000000000")


async def test_a_receiver_must_be_named_somewhere(make: MakeSender) -> None:
    """Neither the input nor the settings name one."""
    assert "no receiver is named" == await make().refused(remote_receiver_url=None)


async def test_the_default_receiver_is_used(make: MakeSender) -> None:
    """The setting replaces a receiver in the input."""
    targets = FakeTargets()
    await make(targets, default_receiver_url="http://edge:8001").transfer(remote_receiver_url=None)

    assert "http://edge:8001" == targets.sent_to[0]


async def test_a_forbidden_receiver_is_refused_first(make: MakeSender) -> None:
    """Nothing is sent or counted, and the package is not opened."""
    refusal = InvalidInputError("not there")
    targets = FakeTargets(refusal=refusal)

    assert "not there" == await make(targets).refused(package_id="00000000-0000-4000-8000-000000000000")
    assert [] == targets.sent


async def failed_before_sending(sender: Sender, **given: Any) -> ModelPackageTransferOutput:
    """Transfer a package that is not sent; return the output."""
    output = await sender.transfer(**given)
    assert isinstance(sender.targets, FakeTargets)
    assert [] == sender.targets.sent
    assert (False, False, 0, 0) == (output.success, output.transfer_success, output.attempts, output.bytes_transferred)
    assert output.transfer_duration_ms is None
    assert {"total": 1, "successful": 0, "failed": 1, "cancelled": 0} == sender.counts()
    return output


async def test_another_announced_checksum_is_a_mismatch(make: MakeSender) -> None:
    """The package is not the one that the caller means."""
    output = await failed_before_sending(make(), package_checksum="ab" * 32)

    assert ErrorCode.CHECKSUM_MISMATCH is output.error_code


async def test_a_damaged_package_is_not_sent_whole(make: MakeSender) -> None:
    """One flipped bit is found before its end is sent, and a retry would not help."""
    sender = make()
    sender.path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    output = await sender.transfer()

    assert (False, ErrorCode.CHECKSUM_MISMATCH, 1, 0) == (
        output.success,
        output.error_code,
        output.attempts,
        output.bytes_transferred,
    )
    assert str(output.error_message).endswith("it was not sent to its end")
    assert {"total": 1, "successful": 0, "failed": 1, "cancelled": 0} == sender.counts()


async def test_a_damaged_package_is_reported_although_the_receiver_has_an_intact_one(make: MakeSender) -> None:
    """A receiver that has the package already may respond before the verification has ended."""

    class Hasty(FakeTargets):
        async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
            return await super().deploy(url, replace(content, verified=no_verification), on_sent)

    sender = make(Hasty())
    sender.path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))

    assert ErrorCode.CHECKSUM_MISMATCH is (await sender.transfer()).error_code


async def test_the_verification_ends_with_a_deploy_that_fails(make: MakeSender) -> None:
    """The deploy's error is reported, and the hashing is stopped."""
    unreachable = ReceiverUnreachableError("connection refused", retry=False)

    class Absent(FakeTargets):
        async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
            self.sent.append(content)
            raise unreachable

    targets = Absent()
    output = await make(targets).transfer()

    assert ErrorCode.REMOTE_UNREACHABLE is output.error_code
    with pytest.raises(asyncio.CancelledError):
        await targets.sent[0].verified()


async def test_a_disk_that_refuses_fails_the_transfer(make: MakeSender) -> None:
    """The public codes have none for disks, and nothing was built here."""
    error = StorageError("cannot read it", recovery="Check the disk.")
    output = await make(FakeTargets([error])).transfer()

    assert (ErrorCode.TRANSFER_FAILED, "cannot read it", "Check the disk.", 1) == (
        output.error_code,
        output.error_message,
        output.recovery,
        output.attempts,
    )


async def test_a_truncated_package_is_not_sent(make: MakeSender) -> None:
    """Its size is wrong already; it counts as a failed transfer."""
    sender = make()
    os.truncate(sender.path, 10)

    assert ErrorCode.CHECKSUM_MISMATCH is (await failed_before_sending(sender, verify_checksum=False)).error_code


@pytest.mark.parametrize(
    ("kept", "given", "hashed"), [(True, None, True), (False, None, False), (True, False, False), (False, True, True)]
)
async def test_the_input_decides_whether_it_is_hashed(
    make: MakeSender, kept: bool, given: bool | None, hashed: bool
) -> None:
    """The setting of its build decides if the input does not."""
    targets = FakeTargets()
    sender = make(targets, kept_verify=kept)
    sender.path.write_bytes(bytes(len(CONTENT)))
    output = await sender.transfer(verify_checksum=given)

    assert hashed == (output.error_code is ErrorCode.CHECKSUM_MISMATCH)
    assert [hashed] == [content.verify_checksum for content in targets.sent]


async def test_a_temporary_failure_is_retried(make: MakeSender, caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt starts anew and is counted, and its failure is logged."""
    unreachable = ReceiverUnreachableError("connection refused")
    targets = FakeTargets([unreachable, BUSY, Receipt("d-1", checksum_verified=True)])
    output = await make(targets).transfer()

    assert (True, 3, len(CONTENT)) == (output.success, output.attempts, output.bytes_transferred)
    assert [CONTENT] * 3 == targets.contents
    assert "attempt 1 to send package" in caplog.text
    assert "connection refused" in caplog.text


async def test_attempts_end(make: MakeSender) -> None:
    """The last failure is reported, with the number of attempts."""
    sender = make(FakeTargets([BUSY]), transfer_attempts=3)
    output = await sender.transfer()

    assert (False, ErrorCode.TRANSFER_FAILED, "busy", 3) == (
        output.success,
        output.error_code,
        output.error_message,
        output.attempts,
    )
    assert {"total": 1, "successful": 0, "failed": 1, "cancelled": 0} == sender.counts()


async def test_a_permanent_failure_is_not_retried(make: MakeSender) -> None:
    """There is one attempt only."""
    output = await make(FakeTargets([REFUSED])).transfer()

    assert ("refused", REFUSED.recovery, 1) == (output.error_message, output.recovery, output.attempts)


async def test_an_exception_of_a_bug_is_raised(make: MakeSender) -> None:
    """It is neither retried nor turned into an output."""
    targets = FakeTargets([RuntimeError("a bug")])
    with pytest.raises(RuntimeError, match="a bug"):
        await make(targets).transfer()

    assert 1 == len(targets.sent)


async def test_retry_after_is_honoured(make: MakeSender) -> None:
    """The receiver's pause is made, and a random part is added."""
    later = TransferError("later", retry=True, retry_after=0.2)
    sender = make(FakeTargets([later, Receipt("d-1", checksum_verified=True)]))
    started = time.monotonic()
    output = await sender.transfer()

    assert (True, 2) == (output.success, output.attempts)
    assert 0.2 <= time.monotonic() - started


async def test_attempts_continue_until_the_time_is_over(make: MakeSender) -> None:
    """The failure is that of the last attempt, and has the number of attempts."""
    sender = make(LateTargets([ReceiverUnreachableError("connection refused")]))
    sender.handler = TransferPackageHandler(sender.resources, Pauses(first_seconds=0.001, longest_seconds=1))
    output = await sender.transfer(transfer_timeout_seconds=LATE_SECONDS, verify_checksum=False)

    assert (3, ErrorCode.REMOTE_UNREACHABLE) == (output.attempts, output.error_code)
    words = "did not have the package after 3600 s and 3 attempts; the last failure: connection refused"
    assert f"the receiver {words}" == output.error_message


async def test_a_wait_for_the_next_attempt_is_reported(make: MakeSender) -> None:
    """The line has the reason and the time."""
    reported: list[Progress] = []
    await make(FakeTargets([BUSY, Receipt("d-1", checksum_verified=True)])).transfer(reported.append)

    assert ["busy; trying again in 0 s"] == [one.line for one in reported if one.stage == "retry"]


async def test_a_transfer_that_only_waits_releases_its_turn(make: MakeSender) -> None:
    """A receiver that is unreachable does not stop transfers to another."""
    waits = asyncio.Event()

    class HalfAway(FakeTargets):
        async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
            if url == "http://away:8001":
                raise BUSY
            return await super().deploy(url, content, on_sent)

    sender = make(HalfAway(), max_concurrent_transfers=1)
    sender.handler = TransferPackageHandler(sender.resources, Pauses(first_seconds=60, longest_seconds=60))
    away = asyncio.ensure_future(sender.transfer(lambda _: waits.set(), remote_receiver_url="http://away:8001"))
    await waits.wait()
    other = await sender.transfer()
    away.cancel()
    await asyncio.gather(away, return_exceptions=True)

    assert other.success
    assert (await sender.transfer()).success


ARM = ReceiverInfo("1.0.0", "2026-01-01T00:00:00Z", ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/arm64"))


@pytest.fixture
def make_for_amd64(make: MakeSender, tmp_path: Path) -> MakeSender:
    """Make a sender of a package whose platform is known."""
    manifest, path = keep_package(tmp_path, CONTENT, platform="linux/amd64")

    def made(targets: DeployTargets) -> Sender:
        sender = make(targets)
        sender.manifest, sender.path = manifest, path
        return sender

    return made


async def test_an_image_that_cannot_run_there_is_refused_before_it_is_sent(make_for_amd64: MakeSender) -> None:
    """The message has both platforms, and the recovery has the option."""
    targets = FakeTargets(infos=[ARM])
    output = await make_for_amd64(targets).transfer()

    assert ([], 0, ErrorCode.TRANSFER_FAILED) == (targets.sent, output.attempts, output.error_code)
    assert "the image is for linux/amd64, and the receiver's engine runs linux/arm64; nothing was sent" == (
        output.error_message
    )
    assert "--any-platform" in str(output.recovery)


async def test_an_image_that_cannot_run_there_is_sent_on_request(make_for_amd64: MakeSender) -> None:
    """The receiver is not asked for its platform."""
    targets = FakeTargets(infos=[ARM])

    assert (await make_for_amd64(targets).transfer(any_platform=True)).success
    assert [ARM] == targets.infos


@pytest.mark.parametrize(
    "info",
    [
        None,
        replace(ARM, engine=None),
        replace(ARM, engine=ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/amd64")),
        replace(ARM, engine=ReceiverEngine("Docker Engine", "20.10", "overlay2", "")),
    ],
    ids=["no description", "no engine", "the same", "no platform"],
)
async def test_an_image_that_may_run_there_is_sent(make_for_amd64: MakeSender, info: ReceiverInfo | None) -> None:
    """Only a known mismatch is refused."""
    assert (await make_for_amd64(FakeTargets(infos=[info])).transfer()).success


async def test_a_receiver_that_does_not_respond_with_its_platform_is_asked_again(make_for_amd64: MakeSender) -> None:
    """Its platform is known before the package is sent."""
    away = ReceiverUnreachableError("connection refused")
    output = await make_for_amd64(FakeTargets(infos=[away, away, ARM])).transfer()

    assert (2, ErrorCode.TRANSFER_FAILED) == (output.attempts, output.error_code)
    assert "linux/arm64" in str(output.error_message)


async def test_all_attempts_together_have_a_deadline(make: MakeSender) -> None:
    """The message has the time, and the deploy was stopped."""
    targets = FakeTargets(deploy_seconds=60)
    output = await make(targets, transfer_timeout_seconds=0.1).transfer()

    assert (ErrorCode.TRANSFER_FAILED, "the receiver did not have the package after 0.1 s") == (
        output.error_code,
        output.error_message,
    )
    assert 0 == targets.deploying


async def test_transfers_at_once_are_limited(make: MakeSender) -> None:
    """The others wait for their turn, and all succeed."""
    targets = FakeTargets(deploy_seconds=0.02)
    sender = make(targets, max_concurrent_transfers=2)
    outputs = await asyncio.gather(*(sender.transfer() for _ in range(7)))

    assert all(output.success for output in outputs)
    assert 2 == targets.most_deploying


async def test_waiting_for_a_deployment_takes_no_turn(make: MakeSender) -> None:
    """The next package is sent while the receiver loads the first."""
    receipt = Receipt("d-1", checksum_verified=True, status="received", status_url=f"{URL}/deployments/d-1")
    targets = FakeTargets([receipt], [DeploymentState("d-1", "loading")])
    sender = make(targets, max_concurrent_transfers=1)
    waiting = asyncio.ensure_future(sender.transfer())
    await eventually(lambda: bool(targets.requested))
    second = await sender.transfer(wait_for="received")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert second.success


async def test_progress_is_reported(make: MakeSender) -> None:
    """The callback gets the bytes of the file."""
    reported: list[Progress] = []
    await make().transfer(reported.append)

    uploaded = [Progress("upload", done_bytes=done, total_bytes=len(CONTENT)) for done in (0, len(CONTENT))]
    accepted = Progress(
        "deploy",
        "the receiver has the package and has verified it: deployment d-1",
        receipt=Receipt("d-1", checksum_verified=True),
    )
    assert [*uploaded, accepted] == reported


async def test_every_stage_is_timed(make: MakeSender) -> None:
    """The result and the metrics have the same figures."""
    sender = make()
    output = await sender.transfer()

    assert {"check", "connect", "send", "verify", "load"} == set(output.stages_ms)
    figures = sender.resources.metrics.snapshot()
    assert output.stages_ms == {name: figures[f"last_transfers_{name}_ms"] for name in output.stages_ms}


async def test_a_deployment_is_followed(make: MakeSender) -> None:
    """The output has the status that was reached."""
    receipt = Receipt("d-1", checksum_verified=True, status="received", status_url=f"{URL}/deployments/d-1")
    targets = FakeTargets([receipt], [DeploymentState("d-1", "loading"), DeploymentState("d-1", "loaded")])
    output = await make(targets).transfer()

    assert (True, "loaded") == (output.success, output.deployment_status)
    assert [f"{URL}/deployments/d-1"] * 2 == targets.requested


async def test_the_receivers_progress_is_reported(make: MakeSender) -> None:
    """Each state is reported once, with the receiver's own reason."""
    reported: list[Progress] = []
    receipt = Receipt("d-1", checksum_verified=False, status="received", status_url=f"{URL}/deployments/d-1")
    states: list[DeploymentState | Exception] = [
        DeploymentState("d-1", "received", error_message="no engine"),
        DeploymentState("d-1", "received", error_message="no engine"),
        DeploymentState("d-1", "loading", will_run=True),
        DeploymentState("d-1", "loaded", will_run=True),
        DeploymentState("d-1", "running", will_run=True),
    ]
    await make(FakeTargets([receipt], states)).transfer(reported.append, wait_for="running", verify_checksum=False)
    deploying = [one for one in reported if one.stage == "deploy"]

    assert [
        "the receiver has the package: deployment d-1",
        "the receiver has the package: no engine",
        "the receiver is loading the image",
        "the image is loaded, and the receiver is starting the container",
        "the container is running",
    ] == [one.line for one in deploying]
    assert ["received", "received", "loading", "loaded", "running"] == [
        one.receipt.status for one in deploying if one.receipt
    ]


@pytest.mark.parametrize(
    ("state", "continues"),
    [
        (DeploymentState("d-1", "loading"), True),
        (DeploymentState("d-1", "loaded", will_run=True), True),
        (DeploymentState("d-1", "failed"), False),
        (DeploymentState("d-1", "replaced"), False),
        (DeploymentState("d-1", "loaded"), False),
    ],
)
async def test_the_output_reports_whether_the_deployment_continues(
    make: MakeSender, state: DeploymentState, continues: bool
) -> None:
    """A deployment that the receiver continues with has not failed."""
    receipt = Receipt("d-1", checksum_verified=True, status="received", status_url=f"{URL}/deployments/d-1")
    targets = LateTargets([receipt], [state])
    output = await make(targets, deployment_timeout_seconds=LATE_SECONDS).transfer(wait_for="running")

    assert (False, state.status, continues) == (output.success, output.deployment_status, output.deployment_continues)


async def test_a_failed_deployment_reports_what_did_succeed(make: MakeSender) -> None:
    """The output has the id, the bytes and the time of the package with the failure."""
    receipt = Receipt("d-1", checksum_verified=True, status="received", status_url=f"{URL}/deployments/d-1")
    state = DeploymentState("d-1", "failed", error_code="DOCKER_UNAVAILABLE", error_message="no engine")
    sender = make(FakeTargets([receipt], [state]))
    output = await sender.transfer()

    assert (False, False, ErrorCode.TRANSFER_FAILED) == (output.success, output.transfer_success, output.error_code)
    assert (
        "the receiver accepted the package but could not deploy it: DOCKER_UNAVAILABLE: no engine"
        == output.error_message
    )
    assert ("d-1", "failed", True, len(CONTENT)) == (
        output.remote_deployment_id,
        output.deployment_status,
        output.checksum_verified,
        output.bytes_transferred,
    )
    assert output.transfer_duration_ms is not None
    assert {"total": 1, "successful": 0, "failed": 1, "cancelled": 0} == sender.counts()


async def test_throughput_counts_the_bytes_that_were_sent(make: MakeSender) -> None:
    """A receiver that has the package already responds early; the bytes that were not sent do not count."""

    class Early(FakeTargets):
        async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
            on_sent(1)
            await asyncio.sleep(0.01)
            return Receipt("d-1", checksum_verified=True)

    output = await make(Early()).transfer()

    assert output.transfer_throughput_mbps is not None
    assert 1 / 10_000 >= output.transfer_throughput_mbps


async def test_cancelling_stops_the_deploy(make: MakeSender) -> None:
    """The cancellation is raised, the file is closed, the turn is free, and it counts as cancelled."""
    targets = FakeTargets(deploy_seconds=60)
    sender = make(targets, max_concurrent_transfers=1)
    sending = asyncio.ensure_future(sender.transfer())
    await eventually(lambda: targets.deploying == 1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    targets.deploy_seconds = 0

    assert 0 == targets.deploying
    assert targets.sent[0].file.closed
    assert {"total": 1, "successful": 0, "failed": 0, "cancelled": 1} == sender.counts()
    assert (await sender.transfer()).success


async def test_cancelling_at_any_moment_leaves_no_open_file(make: MakeSender) -> None:
    """Opening, hashing, waiting and sending can all be cancelled."""
    sender = make(FakeTargets(deploy_seconds=0.01))
    before = len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))
    for delay in range(20):
        sending = asyncio.ensure_future(sender.transfer())
        await asyncio.sleep(delay / 2000)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    assert before == len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))
