"""What `doctor` looks at."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.checkups import Finding, package_folder, receiver
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.publisher import FakeBroker
from support.scripted_receiver import Reply, ScriptedReceiver

if TYPE_CHECKING:
    from .conftest import CommandLine

KEY = f"main:{'k' * 32}"


def settings(**values: object) -> DeploymentSenderSettings:
    """Settings of this test alone."""
    return DeploymentSenderSettings.load(values, {})


def now(offset_seconds: float = 0) -> str:
    """A `Date` header."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + offset_seconds, UTC).strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )


async def findings(*replies: Reply, signing_key: str | None = None) -> dict[str, Finding]:
    """What is found at a receiver that answers so to /healthz and /deployments."""
    async with ScriptedReceiver(*replies) as scripted:
        found = await receiver(settings(signing_key=signing_key), scripted.url)
    return {finding.subject: finding for finding in found}


def fine() -> Reply:
    """A healthy receiver with the right time, that of the call and not of the import."""
    return Reply(body={"status": "ok"}, headers={"Date": now()})


async def test_a_receiver_that_is_well_is_fine() -> None:
    """It is healthy, wants no key, and has the time."""
    found = await findings(fine())

    assert {"receiver": "ok", "key": "ok", "clock": "ok"} == {name: one.verdict for name, one in found.items()}


async def test_no_receiver_is_a_warning() -> None:
    """Only transfers need one."""
    (found,) = await receiver(settings(), None)

    assert ("receiver", "warn") == (found.subject, found.verdict)


async def test_a_receiver_that_is_not_there_fails() -> None:
    """With what to do."""
    (found,) = await receiver(settings(), "http://127.0.0.1:1")

    assert ("fail", True) == (found.verdict, found.message.startswith("REMOTE_UNREACHABLE: "))
    assert found.advice


async def test_a_receiver_of_another_make_is_a_warning() -> None:
    """It need not have /healthz nor /deployments."""
    found = await findings(Reply(404))

    assert ("warn", "warn", "warn") == (found["receiver"].verdict, found["key"].verdict, found["clock"].verdict)


async def test_a_receiver_that_wants_a_key_fails_without_one() -> None:
    """It would refuse every package."""
    found = await findings(fine(), Reply(401))

    assert ("fail", "none is set, and this receiver wants signatures") == (found["key"].verdict, found["key"].message)


async def test_a_key_that_the_receiver_refuses_fails() -> None:
    """With the receiver's own words."""
    found = await findings(fine(), Reply(401, body={"error_message": "no such key"}), signing_key=KEY)

    assert ("fail", "the receiver refuses what is signed with 'main': no such key") == (
        found["key"].verdict,
        found["key"].message,
    )


async def test_a_refusal_without_words_is_told_by_its_status() -> None:
    """A proxy may have given it."""
    found = await findings(fine(), Reply(401, body="<html>"), signing_key=KEY)

    assert found["key"].message.endswith(": HTTP 401")


async def test_a_key_that_the_receiver_takes_is_named() -> None:
    """By its id; the request was signed."""
    async with ScriptedReceiver(fine()) as scripted:
        found = await receiver(settings(signing_key=KEY), scripted.url)

    assert "'main', accepted" == found[1].message
    assert 'key_id="main"' in scripted.heard[1].headers["authorization"]


async def test_a_clock_that_is_off_is_a_warning() -> None:
    """Nothing is signed, so nothing is refused."""
    found = await findings(Reply(headers={"Date": now(3600)}))

    assert "warn" == found["clock"].verdict


async def test_a_clock_that_is_off_fails_where_requests_are_signed() -> None:
    """The receiver refuses signatures that are so old."""
    found = await findings(Reply(headers={"Date": now(-3600)}), signing_key=KEY)

    assert "fail" == found["clock"].verdict
    assert "signed requests may be 300 s off" in found["clock"].message


async def test_a_little_skew_is_a_warning_also_where_requests_are_signed() -> None:
    """They still are accepted."""
    found = await findings(Reply(headers={"Date": now(-100)}), signing_key=KEY)

    assert "warn" == found["clock"].verdict


async def test_a_package_folder_need_not_be_there_yet(tmp_path: Path) -> None:
    """And the look does not make it."""
    found = await package_folder(settings(package_dir=tmp_path / "a" / "b", max_package_size_gb=0.000001))

    assert ("ok", []) == (found.verdict, list(tmp_path.iterdir()))


async def test_a_package_folder_that_is_a_file_fails(tmp_path: Path) -> None:
    """Nothing can be written into it."""
    (tmp_path / "file").touch()
    found = await package_folder(settings(package_dir=tmp_path / "file"))

    assert ("fail", True) == (found.verdict, "cannot be written" in found.message)


async def test_a_disk_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    """A package may be larger than what is free."""
    found = await package_folder(settings(package_dir=tmp_path, max_package_size_gb=1e9))

    assert "warn" == found.verdict


def test_doctor_lists_every_look(cli: "CommandLine") -> None:
    """Verdict first; what needs no receiver is done without one."""
    printed = cli.run("doctor")

    assert ["engine", "packages", "broker", "receiver"] == [
        line.split()[1] for line in printed.out.splitlines() if not line.startswith(" ")
    ]
    assert (0, "ok    engine    Docker Engine 0.0.0-fake, memory") == (printed.code, printed.out.splitlines()[0])


def test_doctor_fails_if_one_look_does(cli: "CommandLine") -> None:
    """And says what to do, under it."""
    cli.engine.fail("info", ErrorCode.DOCKER_UNAVAILABLE, "no engine")
    printed = cli.run("doctor")

    assert 1 == printed.code
    first, second, *_ = printed.out.splitlines()
    assert "fail  engine    DOCKER_UNAVAILABLE: no engine" == first
    assert second.strip().startswith("what to do: ")


def test_doctor_tells_programs_every_finding(cli: "CommandLine") -> None:
    """As one document."""
    document = cli.document("doctor")

    assert {"success", "checks"} == set(document)
    assert {"subject", "verdict", "message", "advice"} == set(document["checks"][0])


@pytest.mark.parametrize(("down", "verdict"), [(False, "ok"), (True, "fail")])
def test_doctor_connects_to_the_broker(cli: "CommandLine", broker: FakeBroker, down: bool, verdict: str) -> None:
    """And leaves it again."""
    broker.down = down
    found = {check["subject"]: check["verdict"] for check in cli.document("doctor")["checks"]}

    assert verdict == found["broker"]
    assert all(publisher.closed for publisher in broker.publishers)


def test_doctor_refuses_an_address_that_is_none(cli: "CommandLine") -> None:
    """As a transfer would."""
    assert 2 == cli.run("doctor", "--to", "ftp://edge").code
