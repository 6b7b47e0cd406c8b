"""What `doctor` looks at; each look ends in a bounded time and changes nothing."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import DeploymentSenderError
from ..ports import EngineInfo
from ..resources import Openers
from ..settings import DeploymentSenderSettings
from .units import size

__all__ = ["Finding", "broker", "engine", "failed", "package_folder"]


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


async def engine(settings: DeploymentSenderSettings, openers: Openers) -> tuple[Finding, EngineInfo | None]:
    """Ask the engine who it is."""
    try:
        client = await openers.engine(settings)
        try:
            info = await client.info()
        finally:
            await client.close()
    except DeploymentSenderError as error:
        return failed("engine", error), None
    return Finding("engine", "ok", f"{info.name} {info.version}, {info.storage_driver}"), info


async def package_folder(settings: DeploymentSenderSettings) -> Finding:
    """See whether packages can be written, and how much fits."""
    try:
        folder = settings.package_folder
    except DeploymentSenderError as error:
        return failed("packages", error)
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
        return failed("broker", error)
    return Finding("broker", "ok", servers)


def failed(subject: str, error: DeploymentSenderError) -> Finding:
    """Tell what made a look fail."""
    return Finding(subject, "fail", f"{error.code}: {error.message}", error.recovery)
