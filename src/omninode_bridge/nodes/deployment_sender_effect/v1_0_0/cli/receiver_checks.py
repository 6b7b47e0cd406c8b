"""What `doctor` looks at on the other side: whether it answers, takes our key, and could do what a shipment asks."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..errors import DeploymentSenderError
from ..models.platform import Platform, can_run
from ..ports import EngineInfo, ReceiverInfo
from ..protocol.info import INFO_PATH
from ..protocol.signature import ALLOWED_CLOCK_SKEW_SECONDS
from ..settings import DeploymentSenderSettings, split_signing_key
from ..store.packages import PackageStore
from .doctor_checks import Finding, failed
from .receiver_queries import ask
from .units import size

if TYPE_CHECKING:
    from ..clients.http.response import ReceiverResponse

__all__ = ["receiver"]

_OK, _UNAUTHORIZED = 200, 401  # RFC 9110
_CLOCKS_AGREE_SECONDS = 30


async def receiver(
    settings: DeploymentSenderSettings, url: str | None, local_engine: EngineInfo | None = None
) -> list[Finding]:
    """Ask a receiver for its health, whether it takes our signature, and about its engine and disk.

    Args:
        settings: Key, time-outs, files for TLS, and where packages are.
        url: The receiver; None if none is given.
        local_engine: The engine that builds; None where it does not answer.
    """
    if url is None:
        advice = "Give its address with --to http://HOST:8001, or set DEFAULT_RECEIVER_URL."
        return [Finding("receiver", "warn", "none is given", advice)]
    from ..clients.http.receiver_responses import read_info  # noqa: PLC0415 - loaded by what asks

    try:
        health = await ask(settings, url, "/healthz")
        listing = await ask(settings, url, "/deployments?limit=1")
        told = await ask(settings, url, INFO_PATH)
    except DeploymentSenderError as error:
        return [failed("receiver", error)]
    try:
        info, refused = read_info(told), None
    except DeploymentSenderError as error:
        info, refused = None, error
    now = datetime.now(UTC)
    findings = [_health(url, health, info), _key(settings, listing), _clock(settings, health, info, now)]
    if info is not None:
        largest_bytes = await asyncio.to_thread(_largest_package, settings)
        return [*findings, *_abilities(info, local_engine, largest_bytes)]
    if listing.status == _UNAUTHORIZED:
        return findings  # nothing more is told without a key
    why = f": {refused.message}" if refused else f" (HTTP {told.status} to {INFO_PATH})"
    advice = "Update the receiver; one of another make may say nothing and still take packages."
    return [*findings, Finding("there", "warn", f"it says nothing of its engine and disk{why}", advice)]


def _largest_package(settings: DeploymentSenderSettings) -> int:
    try:
        folder = settings.package_folder
    except DeploymentSenderError:  # told already, as the finding of the packages
        return 0
    return max((one.size_bytes for one in PackageStore(folder).list()), default=0)


def _health(url: str, answer: "ReceiverResponse", info: ReceiverInfo | None) -> Finding:
    if answer.status == _OK:
        return Finding("receiver", "ok", f"{url}, version {info.version}" if info else url)
    advice = "Check the address; a receiver of another make may have no /healthz and still take packages."
    who = f"{answer.proxy} at {url}" if answer.proxy else url
    return Finding("receiver", "warn", f"{who} answers, but HTTP {answer.status} to /healthz", advice)


def _key(settings: DeploymentSenderSettings, listing: "ReceiverResponse") -> Finding:
    from ..clients.http.error_responses import refusal  # noqa: PLC0415 - loaded by what asks

    key_id = split_signing_key(settings.signing_key.get_secret_value())[0] if settings.signing_key else None
    if listing.status == _UNAUTHORIZED:
        if listing.proxy:
            error = refusal(listing)
            return Finding("key", "fail", error.message, error.recovery)
        advice = "Set DEPLOYMENT_SENDER_SIGNING_KEY to a key of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS."
        if key_id is None:
            return Finding("key", "fail", "none is set, and this receiver wants signatures", advice)
        return Finding("key", "fail", f"the receiver refuses what is signed with {key_id!r}: {_said(listing)}", advice)
    if listing.status != _OK:
        return Finding("key", "warn", f"cannot be tried: the receiver answers HTTP {listing.status} to /deployments")
    return Finding("key", "ok", f"{key_id!r}, accepted" if key_id else "none is set, and this receiver wants none")


def _said(answer: "ReceiverResponse") -> str:
    return (answer.error and answer.error.error_message) or f"HTTP {answer.status}"


def _clock(
    settings: DeploymentSenderSettings, health: "ReceiverResponse", info: ReceiverInfo | None, now: datetime
) -> Finding:
    theirs = _time(health, info)
    if theirs is None:
        return Finding("clock", "warn", "the receiver does not tell the time")
    seconds = abs((theirs - now).total_seconds())
    if seconds <= _CLOCKS_AGREE_SECONDS:
        return Finding("clock", "ok", f"within {_CLOCKS_AGREE_SECONDS} s of the receiver's")
    refused = settings.signing_key is not None and seconds > ALLOWED_CLOCK_SKEW_SECONDS
    return Finding(
        "clock",
        "fail" if refused else "warn",
        f"{seconds:.0f} s off the receiver's; signed requests may be {ALLOWED_CLOCK_SKEW_SECONDS} s off",
        "Set both clocks, best by NTP.",
    )


def _time(health: "ReceiverResponse", info: ReceiverInfo | None) -> datetime | None:
    try:  # the header is always GMT: RFC 9110 section 5.6.7; a proxy puts its own there
        told = datetime.fromisoformat(info.time) if info else _gmt(health)
    except ValueError:
        return None
    return told if told.tzinfo else None


def _gmt(answer: "ReceiverResponse") -> datetime:
    return parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC)


def _abilities(info: ReceiverInfo, local_engine: EngineInfo | None, largest_bytes: int) -> Iterator[Finding]:
    yield _engine(info)
    yield _disk(info, largest_bytes)
    if info.engine and info.engine.platform:
        yield _platform(info.engine.platform, local_engine)
    runs = "started from each image" if info.will_run else "not started: images are loaded, and no more"
    yield Finding("run", "ok", f"containers are {runs}")


def _engine(info: ReceiverInfo) -> Finding:
    if info.engine is None:
        why = info.engine_error or "the receiver does not say why"
        advice = "Start the engine there; until then the receiver keeps what arrives and loads nothing."
        return Finding("engine there", "fail", f"does not answer: {why}", advice)
    engine = info.engine
    return Finding("engine there", "ok", f"{engine.name} {engine.version}, {engine.store}, {engine.platform}")


def _disk(info: ReceiverInfo, largest_bytes: int) -> Finding:
    if info.free_bytes is None:
        return Finding("disk there", "warn", "the receiver does not say how much is free")
    message, advice = f"{size(info.free_bytes)} free", "Free space on the receiver's disk."
    if info.free_bytes < largest_bytes:
        return Finding(
            "disk there", "fail", f"{message}, and the largest package here has {size(largest_bytes)}", advice
        )
    if info.max_package_bytes is None:
        return Finding("disk there", "ok", message)
    if info.max_package_bytes < largest_bytes:
        message = f"it takes up to {size(info.max_package_bytes)}, and the largest package here has"
        advice = "Raise the receiver's max_package_size_gb, or make the image smaller."
        return Finding("disk there", "warn", f"{message} {size(largest_bytes)}", advice)
    if info.free_bytes < info.max_package_bytes:
        return Finding("disk there", "warn", f"{message}; a package may have {size(info.max_package_bytes)}", advice)
    return Finding("disk there", "ok", message)


def _platform(theirs: str, local_engine: EngineInfo | None) -> Finding:
    ours = _platform_of(local_engine)
    if ours is None:
        return Finding("platform", "ok", f"{theirs} there")
    if not can_run(ours, theirs):
        advice = f"Build with --platform {theirs}; what is built without it is refused before it is sent."
        return Finding(
            "platform", "warn", f"{ours} here, {theirs} there: images of this engine do not run there", advice
        )
    return Finding("platform", "ok", f"{ours} here runs there" if ours == theirs else f"{ours} here, {theirs} there")


def _platform_of(engine: EngineInfo | None) -> str | None:
    """Return what an engine runs, where it says so."""
    if engine is None or not engine.os or not engine.architecture:
        return None
    return str(Platform.of(engine.os, engine.architecture, engine.variant))
