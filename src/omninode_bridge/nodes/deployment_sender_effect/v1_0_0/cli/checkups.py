"""What `doctor` looks at; each look ends in a bounded time and changes nothing."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import DeploymentSenderError
from ..protocol.signature import ALLOWED_CLOCK_SKEW_SECONDS
from ..protocol.upload import ErrorBody
from ..resources import Openers
from ..settings import DeploymentSenderSettings, split_signing_key
from .figures import size
from .receivers import ask

if TYPE_CHECKING:
    from ..clients.http_answers import Answer

__all__ = ["Finding", "broker", "engine", "package_folder", "receiver"]

_OK, _UNAUTHORIZED = 200, 401  # RFC 9110
_CLOCKS_AGREE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    Attributes:
        verdict: `fail` is what no shipment gets past.
        advice: What to do about it.
    """

    subject: str
    verdict: Literal["ok", "warn", "fail"]
    message: str
    advice: str | None = None


async def engine(settings: DeploymentSenderSettings, openers: Openers) -> Finding:
    """Ask the Docker Engine who it is."""
    try:
        client = await openers.engine(settings)
        try:
            info = await client.info()
        finally:
            await client.close()
    except DeploymentSenderError as error:
        return _failed("engine", error)
    return Finding("engine", "ok", f"{info.name} {info.version}, {info.storage_driver}")


async def package_folder(settings: DeploymentSenderSettings) -> Finding:
    """See whether packages can be written, and how much fits."""
    try:
        folder = settings.package_folder
    except DeploymentSenderError as error:
        return _failed("packages", error)
    return await asyncio.to_thread(_package_folder, folder, settings.max_package_size_bytes)


def _package_folder(folder: Path, max_bytes: int) -> Finding:
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            free_bytes = shutil.disk_usage(existing).free
    except OSError as exc:
        advice = "Mend that, or choose another folder with --package-dir or PACKAGE_DIR."
        return Finding("packages", "fail", f"{folder} cannot be written: {exc.strerror}", advice)
    message = f"{folder}, {size(free_bytes)} free"
    if free_bytes < max_bytes:
        advice = "Make room: `deployment-sender packages prune --keep N` removes all but the newest packages."
        return Finding("packages", "warn", f"{message}; a package may have {size(max_bytes)}", advice)
    return Finding("packages", "ok", message)


async def broker(settings: DeploymentSenderSettings, openers: Openers) -> Finding:
    """Connect to the Kafka broker, if there is to be one."""
    servers = settings.kafka_bootstrap_servers
    if not servers:
        return Finding("broker", "ok", "none is set, so events stay in the outbox")
    try:
        await (await openers.publisher(settings)).close()
    except DeploymentSenderError as error:
        return _failed("broker", error)
    return Finding("broker", "ok", servers)


async def receiver(settings: DeploymentSenderSettings, url: str | None) -> list[Finding]:
    """Ask a receiver for its health, and whether it takes our signature."""
    if url is None:
        advice = "Give its address with --to http://HOST:8001, or set DEFAULT_RECEIVER_URL."
        return [Finding("receiver", "warn", "none is given", advice)]
    try:
        health = await ask(settings, url, "/healthz")
        listing = await ask(settings, url, "/deployments?limit=1")
    except DeploymentSenderError as error:
        return [_failed("receiver", error)]
    return [_health(url, health), _key(settings, listing), _clock(settings, health, datetime.now(UTC))]


def _health(url: str, answer: "Answer") -> Finding:
    if answer.status == _OK:
        return Finding("receiver", "ok", url)
    advice = "Check the address; a receiver of another make may have no /healthz and still take packages."
    return Finding("receiver", "warn", f"{url} answers, but HTTP {answer.status} to /healthz", advice)


def _key(settings: DeploymentSenderSettings, listing: "Answer") -> Finding:
    key_id = split_signing_key(settings.signing_key.get_secret_value())[0] if settings.signing_key else None
    if listing.status == _UNAUTHORIZED:
        advice = "Set DEPLOYMENT_SENDER_SIGNING_KEY to a key of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS."
        if key_id is None:
            return Finding("key", "fail", "none is set, and this receiver wants signatures", advice)
        return Finding("key", "fail", f"the receiver refuses what is signed with {key_id!r}: {_said(listing)}", advice)
    if listing.status != _OK:
        return Finding("key", "warn", f"cannot be tried: the receiver answers HTTP {listing.status} to /deployments")
    return Finding("key", "ok", f"{key_id!r}, accepted" if key_id else "none is set, and this receiver wants none")


def _said(answer: "Answer") -> str:
    try:
        return ErrorBody.model_validate_json(answer.body).error_message or f"HTTP {answer.status}"
    except ValueError:
        return f"HTTP {answer.status}"


def _clock(settings: DeploymentSenderSettings, health: "Answer", now: datetime) -> Finding:
    try:  # always GMT: RFC 9110 section 5.6.7
        theirs = parsedate_to_datetime(health.headers.get("date", "")).replace(tzinfo=UTC)
    except ValueError:
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


def _failed(subject: str, error: DeploymentSenderError) -> Finding:
    return Finding(subject, "fail", f"{error.code}: {error.message}", error.recovery)
