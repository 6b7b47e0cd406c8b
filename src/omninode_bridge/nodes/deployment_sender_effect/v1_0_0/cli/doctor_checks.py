"""The checks of `doctor` on this machine; each ends in a bounded time and changes nothing."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..ports import EngineInfo
from ..resources import Openers
from ..settings import DeploymentSenderSettings
from .failures import SHOWN_ERRORS, ShownError, public_code
from .units import size

__all__ = ["Finding", "check_broker", "check_engine", "check_package_folder", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        verdict: `fail` if no shipment can succeed.
        advice: What to do about it.
    """

    subject: str
    verdict: Literal["ok", "warn", "fail"]
    message: str
    advice: str | None = None


async def check_engine(settings: DeploymentSenderSettings, openers: Openers) -> tuple[Finding, EngineInfo | None]:
    """Connect to the engine and ask for its version."""
    try:
        client = await openers.engine(settings)
        try:
            info = await client.info()
        finally:
            await client.close()
    except SHOWN_ERRORS as error:
        return failed("engine", error), None
    return Finding("engine", "ok", f"{info.name} {info.version}, {info.storage_driver}"), info


async def check_package_folder(settings: DeploymentSenderSettings) -> Finding:
    """Check that packages can be written, and how much fits."""
    try:
        folder = settings.package_folder
    except SHOWN_ERRORS as error:
        return failed("packages", error)
    return await asyncio.to_thread(_check_folder, folder, settings.max_package_size_bytes)


def _check_folder(folder: Path, max_bytes: int) -> Finding:
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            free_bytes = shutil.disk_usage(existing).free
    except OSError as exc:
        advice = "Fix that, or choose another folder with --package-dir or PACKAGE_DIR."
        return Finding("packages", "fail", f"{folder} cannot be written: {exc.strerror}", advice)
    message = f"{folder}, {size(free_bytes)} free"
    if free_bytes < max_bytes:
        advice = "Free some space: `deployment-sender packages prune --keep N` removes all but the newest packages."
        return Finding("packages", "warn", f"{message}; a package may have {size(max_bytes)}", advice)
    return Finding("packages", "ok", message)


async def check_broker(settings: DeploymentSenderSettings, openers: Openers) -> Finding:
    """Connect to the Kafka broker, if one is set."""
    servers = settings.kafka_bootstrap_servers
    if not servers:
        return Finding("broker", "ok", "none is set, so events stay in the outbox")
    try:
        await (await openers.publisher(settings)).close()
    except SHOWN_ERRORS as error:
        return failed("broker", error)
    return Finding("broker", "ok", servers)


def failed(subject: str, error: ShownError) -> Finding:
    """Make the finding of a check that raised an error."""
    return Finding(subject, "fail", f"{public_code(error)}: {error.message}", error.recovery)
