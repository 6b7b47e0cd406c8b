"""The checks of `doctor` on a receiver: whether it responds, accepts our key, and can do what a shipment needs."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ..clients.http.error_responses import error_of
from ..clients.http.response import ReceiverResponse
from ..clients.http.success_responses import read_info
from ..errors import InvalidInputError, OperationError
from ..models.platform import Platform, can_run
from ..ports import EngineInfo, ReceiverInfo
from ..protocol.info import INFO_PATH
from ..protocol.signature import ALLOWED_CLOCK_SKEW_SECONDS
from ..settings import DeploymentSenderSettings, split_signing_key
from ..store.packages import PackageStore
from .doctor_checks import Finding, failed
from .receiver_queries import get_page
from .units import size

__all__ = ["receiver"]

_CLOCKS_AGREE_SECONDS = 30  # a tenth of the allowed skew: NTP keeps clocks within a second


async def receiver(
    settings: DeploymentSenderSettings, url: str | None, local_engine: EngineInfo | None = None
) -> list[Finding]:
    """Check a receiver's health, whether it accepts our signature, its engine and its disk.

    Args:
        settings: Key, time-outs, files for TLS, and the package folder.
        url: The receiver; None if none is given.
        local_engine: The engine that builds; None if it does not respond.
    """
    if url is None:
        advice = "Give its address with --to http://HOST:8001, or set DEFAULT_RECEIVER_URL."
        return [Finding("receiver", "warn", "none is given", advice)]
    try:
        health = await get_page(settings, url, "/healthz")
        listing = await get_page(settings, url, "/deployments?limit=1")
        description = await get_page(settings, url, INFO_PATH)
    except OperationError as error:
        return [failed("receiver", error)]
    info, refusal = _read_info(description)
    now = datetime.now(UTC)
    findings = [_health(url, health, info), _key(settings, listing), _clock(settings, health, info, now)]
    if info is not None:
        largest_bytes = await asyncio.to_thread(_largest_package, settings)
        return [*findings, *_abilities(info, local_engine, largest_bytes)]
    if listing.status == HTTPStatus.UNAUTHORIZED:
        return findings  # without an accepted key, nothing more is known
    reason = f": {refusal.message}" if refusal else f" (HTTP {description.status} to {INFO_PATH})"
    advice = "Upgrade the receiver; one of another make may not describe itself and still accept packages."
    return [*findings, Finding("there", "warn", f"it does not report its engine and disk{reason}", advice)]


def _read_info(response: ReceiverResponse) -> tuple[ReceiverInfo | None, OperationError | None]:
    try:
        return read_info(response), None
    except OperationError as error:
        return None, error


def _largest_package(settings: DeploymentSenderSettings) -> int:
    try:
        folder = settings.package_folder
    except InvalidInputError:  # reported already, as the finding of the package folder
        return 0
    return max((package.size_bytes for package in PackageStore(folder).list()), default=0)


def _health(url: str, response: ReceiverResponse, info: ReceiverInfo | None) -> Finding:
    if response.status == HTTPStatus.OK:
        return Finding("receiver", "ok", f"{url}, version {info.version}" if info else url)
    advice = "Check the address; a receiver of another make may have no /healthz and still accept packages."
    responder = f"{response.proxy} at {url}" if response.proxy else url
    return Finding("receiver", "warn", f"{responder} responds, but HTTP {response.status} to /healthz", advice)


def _key(settings: DeploymentSenderSettings, listing: ReceiverResponse) -> Finding:
    key_id = split_signing_key(settings.signing_key.get_secret_value())[0] if settings.signing_key else None
    if listing.status == HTTPStatus.UNAUTHORIZED:
        return _refused_key(key_id, listing)
    if listing.status != HTTPStatus.OK:
        return Finding("key", "warn", f"not checked: the receiver responds HTTP {listing.status} to /deployments")
    return Finding("key", "ok", f"{key_id!r}, accepted" if key_id else "none is set, and this receiver requires none")


def _refused_key(key_id: str | None, listing: ReceiverResponse) -> Finding:
    if listing.proxy:
        error = error_of(listing)
        return Finding("key", "fail", error.message, error.recovery)
    advice = "Set DEPLOYMENT_SENDER_SIGNING_KEY to a key of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS."
    if key_id is None:
        return Finding("key", "fail", "none is set, and this receiver requires signatures", advice)
    reason = (listing.error and listing.error.error_message) or f"HTTP {listing.status}"
    return Finding("key", "fail", f"the receiver refuses requests signed with {key_id!r}: {reason}", advice)


def _clock(
    settings: DeploymentSenderSettings, health: ReceiverResponse, info: ReceiverInfo | None, now: datetime
) -> Finding:
    receiver_time = _time(health, info)
    if receiver_time is None:
        return Finding("clock", "warn", "the receiver does not report its time")
    seconds = abs((receiver_time - now).total_seconds())
    if seconds <= _CLOCKS_AGREE_SECONDS:
        return Finding("clock", "ok", f"within {_CLOCKS_AGREE_SECONDS} s of the receiver's")
    refused = settings.signing_key is not None and seconds > ALLOWED_CLOCK_SKEW_SECONDS
    return Finding(
        "clock",
        "fail" if refused else "warn",
        f"{seconds:.0f} s off the receiver's; signed requests may be {ALLOWED_CLOCK_SKEW_SECONDS} s off",
        "Set both clocks, best by NTP.",
    )


def _time(health: ReceiverResponse, info: ReceiverInfo | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(info.time) if info else _date_header(health)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _date_header(response: ReceiverResponse) -> datetime:
    """Return the `Date` header, always GMT (RFC 9110 section 5.6.7); a proxy replaces it by its own."""
    return parsedate_to_datetime(response.headers.get("date", "")).replace(tzinfo=UTC)


def _abilities(info: ReceiverInfo, local_engine: EngineInfo | None, largest_bytes: int) -> Iterator[Finding]:
    yield _engine(info)
    yield _disk(info, largest_bytes)
    if info.engine and info.engine.platform:
        yield _platform(info.engine.platform, local_engine)
    containers = "started from each image" if info.will_run else "not started: images are only loaded"
    yield Finding("run", "ok", f"containers are {containers}")


def _engine(info: ReceiverInfo) -> Finding:
    if info.engine is None:
        reason = info.engine_error or "the receiver gives no reason"
        advice = "Start the engine there; until then the receiver stores packages and loads nothing."
        return Finding("engine there", "fail", f"does not respond: {reason}", advice)
    engine = info.engine
    return Finding("engine there", "ok", f"{engine.name} {engine.version}, {engine.store}, {engine.platform}")


def _disk(info: ReceiverInfo, largest_bytes: int) -> Finding:
    if info.free_bytes is None:
        return Finding("disk there", "warn", "the receiver does not report its free space")
    message, advice = f"{size(info.free_bytes)} free", "Free space on the receiver's disk."
    if info.free_bytes < largest_bytes:
        return Finding(
            "disk there", "fail", f"{message}, and the largest package here has {size(largest_bytes)}", advice
        )
    if info.max_package_bytes is None:
        return Finding("disk there", "ok", message)
    if info.max_package_bytes < largest_bytes:
        message = f"it accepts up to {size(info.max_package_bytes)}, and the largest package here has"
        advice = "Raise the receiver's max_package_size_gb, or make the image smaller."
        return Finding("disk there", "warn", f"{message} {size(largest_bytes)}", advice)
    if info.free_bytes < info.max_package_bytes:
        return Finding("disk there", "warn", f"{message}; a package may have {size(info.max_package_bytes)}", advice)
    return Finding("disk there", "ok", message)


def _platform(remote: str, local_engine: EngineInfo | None) -> Finding:
    local = _platform_of(local_engine)
    if local is None:
        return Finding("platform", "ok", f"{remote} there")
    if not can_run(local, remote):
        advice = f"Build with --platform {remote}; an image built without it is refused before it is sent."
        return Finding(
            "platform", "warn", f"{local} here, {remote} there: images of this engine do not run there", advice
        )
    return Finding("platform", "ok", f"{local} here runs there" if local == remote else f"{local} here, {remote} there")


def _platform_of(engine: EngineInfo | None) -> str | None:
    """Return the platform that an engine runs, if it reports one."""
    if engine is None or not engine.os or not engine.architecture:
        return None
    return str(Platform.of(engine.os, engine.architecture, engine.variant))
