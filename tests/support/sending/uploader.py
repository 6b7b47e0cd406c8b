"""A `PackageUploader` that answers what it is told to and remembers what it was asked."""

import asyncio
import os
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from typing import TypeVar

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeploymentState,
    PackageUpload,
    Receipt,
    ReceiverInfo,
)
from support.process.clock import put_forward

__all__ = ["LATE_SECONDS", "FakeUploader", "LateUploader"]

LATE_SECONDS = 3600.0
_THIRD = 3

T = TypeVar("T")


@dataclass
class FakeUploader:
    """Reads the file of each upload, waits for its check, and gives the next outcome; the last one again and again.

    Attributes:
        receipts: Outcomes of `send`: answered, or raised if it is an exception.
        states: Outcomes of `state`, likewise.
        send_seconds: How long a send takes.
        infos: Outcomes of `info`, likewise.
        uploads: What was sent.
        contents: The bytes of each.
        asked: The status URLs that were asked for.
        checked: The receivers that were checked.
        refusal: Raised by `check` if given.
        sending: Sends under way now.
        most_sending: The most sends that were ever under way together.
        closed: How often it was closed.
    """

    receipts: list[Receipt | Exception] = field(default_factory=lambda: [Receipt("d-1", checksum_verified=True)])
    states: list[DeploymentState | Exception] = field(default_factory=list)
    infos: list[ReceiverInfo | Exception | None] = field(default_factory=lambda: [None])
    send_seconds: float = 0
    uploads: list[PackageUpload] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    refusal: Exception | None = None
    sending: int = 0
    most_sending: int = 0
    closed: int = 0

    async def check(self, receiver_url: str) -> None:
        """Remember the receiver; raise the refusal if there is one."""
        self.checked.append(receiver_url)
        if self.refusal is not None:
            raise self.refusal

    async def info(self, receiver_url: str) -> ReceiverInfo | None:
        """Give the next information."""
        return _next(self.infos)

    async def send(self, upload: PackageUpload, on_sent: Callable[[int], None]) -> Receipt:
        """Read the file, tell its size, wait for its check, and give the next outcome."""
        self.uploads.append(upload)
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        try:
            self.contents.append(await asyncio.to_thread(os.pread, upload.file.fileno(), upload.size_bytes, 0))
            on_sent(0)
            on_sent(upload.size_bytes)
            await asyncio.sleep(self.send_seconds)
            if upload.check is not None:
                await asyncio.shield(upload.check)
        finally:
            self.sending -= 1
        return _next(self.receipts)

    async def state(self, receiver_url: str, status_url: str) -> DeploymentState:
        """Give the next state."""
        self.asked.append(status_url)
        return _next(self.states)

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


class LateUploader(FakeUploader):
    """Is an hour late at its third attempt and at its third question, by the loop's own clock."""

    async def send(self, upload: PackageUpload, on_sent: Callable[[int], None]) -> Receipt:
        """Give the next outcome."""
        _third(self.uploads)
        return await super().send(upload, on_sent)

    async def state(self, receiver_url: str, status_url: str) -> DeploymentState:
        """Give the next state."""
        _third(self.asked)
        return await super().state(receiver_url, status_url)


def _third(before: Sized) -> None:
    if len(before) == _THIRD - 1:
        put_forward(LATE_SECONDS)


def _next(outcomes: list[T | Exception]) -> T:
    outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
