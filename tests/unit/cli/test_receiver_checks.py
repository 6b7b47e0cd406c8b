"""The checks of `doctor` on a receiver."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.doctor_checks import Finding
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.receiver_checks import receiver
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import EngineInfo
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.archives.stored import keep_package
from support.receiver.scripted import Reply, ScriptedReceiver

KEY = f"main:{'k' * 32}"


def settings(**values: object) -> DeploymentSenderSettings:
    """Settings of this test alone."""
    return DeploymentSenderSettings.load(values, {})


def now(offset_seconds: float = 0) -> str:
    """A `Date` header."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + offset_seconds, UTC).strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )


async def findings(*replies: Reply, local: EngineInfo | None = None, **values: object) -> dict[str, Finding]:
    """Return the findings at a receiver with these responses to /healthz, /deployments and /info."""
    async with ScriptedReceiver(*replies) as scripted:
        found = await receiver(settings(**values), scripted.url, local)
    return {finding.subject: finding for finding in found}


def info(**changes: object) -> Reply:
    """The description of a receiver, with the time of now."""
    engine = {"name": "Docker Engine", "version": "20.10", "store": "overlay2", "os": "linux", "architecture": "amd64"}
    reported = {
        "version": "1.0.0",
        "time": datetime.now(UTC).isoformat(),
        "engine": engine,
        "free_bytes": 10**12,
        "max_package_bytes": 10**9,
        "will_run": True,
    }
    return Reply(body=reported | changes)


def fine() -> Reply:
    """A healthy receiver with the right time, that of the call and not of the import."""
    return Reply(body={"status": "ok"}, headers={"Date": now()})


async def test_a_healthy_receiver_is_ok() -> None:
    """It is healthy, requires no key, and its clock is right."""
    found = await findings(fine(), fine(), info())

    assert {
        "receiver": "ok",
        "key": "ok",
        "clock": "ok",
        "engine there": "ok",
        "disk there": "ok",
        "platform": "ok",
        "run": "ok",
    } == {name: one.verdict for name, one in found.items()}
    assert "Docker Engine 20.10, overlay2, linux/amd64" == found["engine there"].message


async def test_no_receiver_is_a_warning() -> None:
    """Only transfers need one."""
    (found,) = await receiver(settings(), None)

    assert ("receiver", "warn") == (found.subject, found.verdict)


async def test_a_receiver_that_is_not_there_fails() -> None:
    """The finding says what to do."""
    (found,) = await receiver(settings(), "http://127.0.0.1:1")

    assert ("fail", True) == (found.verdict, found.message.startswith("REMOTE_UNREACHABLE: "))
    assert found.advice


async def test_a_receiver_of_another_make_is_a_warning() -> None:
    """It need not have /healthz nor /deployments."""
    found = await findings(Reply(404))

    assert ("warn", "warn", "warn") == (found["receiver"].verdict, found["key"].verdict, found["clock"].verdict)


async def test_a_receiver_that_requires_a_key_fails_without_one() -> None:
    """It would refuse every package."""
    found = await findings(fine(), Reply(401))

    assert ("fail", "none is set, and this receiver requires signatures") == (
        found["key"].verdict,
        found["key"].message,
    )


async def test_a_key_that_the_receiver_refuses_fails() -> None:
    """The finding has the receiver's own message."""
    found = await findings(fine(), Reply(401, body={"error_message": "no such key"}), signing_key=KEY)

    assert ("fail", "the receiver refuses requests signed with 'main': no such key") == (
        found["key"].verdict,
        found["key"].message,
    )


async def test_a_refusal_without_a_message_has_its_status() -> None:
    """It may be a proxy's."""
    found = await findings(fine(), Reply(401, body="<html>"), signing_key=KEY)

    assert found["key"].message.endswith(": HTTP 401")


async def test_a_key_that_the_receiver_accepts_is_named() -> None:
    """The finding has its id; the request was signed."""
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


async def test_a_receiver_that_does_not_describe_itself_is_a_warning() -> None:
    """It may be older, and still accept packages."""
    found = await findings(fine(), fine(), Reply(404))

    assert ("warn", "it does not report its engine and disk (HTTP 404 to /info)") == (
        found["there"].verdict,
        found["there"].message,
    )


async def test_an_engine_that_is_down_there_fails() -> None:
    """The finding has the receiver's reason, and what to do."""
    found = await findings(fine(), fine(), info(engine=None, engine_error="no socket"))

    assert ("fail", "does not respond: no socket") == (found["engine there"].verdict, found["engine there"].message)
    assert "Start the engine there" in str(found["engine there"].advice)


@pytest.mark.parametrize(
    ("reported", "verdict", "words"),
    [
        ({"free_bytes": 10**12}, "ok", "1000.00 GB free"),
        ({"free_bytes": 2000}, "warn", "2.0 KB free; a package may have 1.00 GB"),
        ({"free_bytes": 999}, "fail", "999 bytes free, and the largest package here has 1.0 KB"),
        ({"max_package_bytes": 999}, "warn", "it accepts up to 999 bytes, and the largest package here has 1.0 KB"),
        ({"max_package_bytes": None}, "ok", "1000.00 GB free"),
        ({"free_bytes": None}, "warn", "the receiver does not report its free space"),
    ],
)
async def test_the_disk_there_is_compared_with_the_packages_here(
    tmp_path: Path, reported: dict[str, object], verdict: str, words: str
) -> None:
    """A package that does not fit fails before anything is sent."""
    await asyncio.to_thread(keep_package, tmp_path, bytes(1000))
    found = await findings(fine(), fine(), info(**reported), package_dir=tmp_path)

    assert (verdict, words) == (found["disk there"].verdict, found["disk there"].message)


async def test_a_receiver_that_starts_no_containers_is_ok() -> None:
    """Only the images may be wanted."""
    found = await findings(fine(), fine(), info(will_run=False))

    assert ("ok", "containers are not started: images are only loaded") == (
        found["run"].verdict,
        found["run"].message,
    )


async def test_another_platform_than_here_is_a_warning() -> None:
    """An image built without `--platform` would be refused; the advice has the option."""
    here = EngineInfo("20.10", "overlay2", "/var/lib/docker", os="linux", architecture="arm64", variant="v8")
    found = await findings(fine(), fine(), info(), local=here)

    assert "warn" == found["platform"].verdict
    assert "linux/arm64 here, linux/amd64 there: images of this engine do not run there" == found["platform"].message
    assert "--platform linux/amd64" in str(found["platform"].advice)


@pytest.mark.parametrize("time", ["yesterday", "2026-01-01T00:00:00"])
async def test_a_time_that_cannot_be_read_is_a_warning(time: str) -> None:
    """Nothing is known about the clock."""
    found = await findings(fine(), fine(), info(time=time))

    assert ("warn", "the receiver does not report its time") == (found["clock"].verdict, found["clock"].message)


async def test_a_proxy_that_refuses_is_named() -> None:
    """The key may be right."""
    found = await findings(fine(), Reply(401, "<html>", {"Server": "nginx/1.22.1"}), signing_key=KEY)

    assert "the proxy nginx/1.22.1 responded 401 Unauthorized instead of the receiver" == found["key"].message
