"""Fakes of the port for receivers: targets whose results a test scripts."""

import asyncio
import os
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import TransferError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeploymentState,
    PackageContent,
    Receipt,
    ReceiverInfo,
)
from support.process.clock import put_forward

__all__ = ["LATE_SECONDS", "FakeTarget", "FakeTargets", "LateTargets"]

LATE_SECONDS = 3600.0
_THIRD = 3
_CHUNK_BYTES = 1 << 20

T = TypeVar("T")


@dataclass
class FakeTargets:
    """Opens fake targets, which share one script: each call gives the next result; the last one repeats.

    Attributes:
        receipts: Results of `deploy`: returned, or raised if it is an exception.
        states: Results of `status`, likewise.
        infos: Results of `info`, likewise.
        refusal: Raised by `check` if given.
        deploy_seconds: How long a `deploy` takes.
        opened: The URLs of the targets, in order.
        sent: What was sent.
        sent_to: The URL that each was sent to.
        contents: The bytes of each.
        requested: The status URLs that were requested.
        checked: The URLs that were checked.
        deploying: Calls of `deploy` in progress.
        most_deploying: The most calls of `deploy` that were ever in progress together.
        closed: How often the targets together were closed.
        limits: Expire when the targets are closed, one for each `deploy` in progress.
    """

    receipts: list[Receipt | Exception] = field(default_factory=lambda: [Receipt("d-1", checksum_verified=True)])
    states: list[DeploymentState | Exception] = field(default_factory=list)
    infos: list[ReceiverInfo | Exception | None] = field(default_factory=lambda: [None])
    refusal: Exception | None = None
    deploy_seconds: float = 0
    opened: list[str] = field(default_factory=list)
    sent: list[PackageContent] = field(default_factory=list)
    sent_to: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    deploying: int = 0
    most_deploying: int = 0
    closed: int = 0
    limits: set[asyncio.Timeout] = field(default_factory=set)

    def open(self, url: str) -> "FakeTarget":
        """Return a target."""
        self.opened.append(url)
        return FakeTarget(url, self, self.closed)

    async def close(self) -> None:
        """Count it, and end the calls in progress."""
        self.closed += 1
        for limit in self.limits:
            limit.reschedule(0)

    async def check(self, url: str) -> None:
        """Record the URL; raise the refusal if there is one."""
        self.checked.append(url)
        if self.refusal is not None:
            raise self.refusal

    async def info(self, url: str) -> ReceiverInfo | None:
        """Give the next description."""
        return _next(self.infos)

    async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        """Read the file by position, wait for its verification before the last bytes, and give the next result."""
        self.sent.append(content)
        self.sent_to.append(url)
        self.deploying += 1
        self.most_deploying = max(self.most_deploying, self.deploying)
        try:
            on_sent(0)
            await asyncio.sleep(self.deploy_seconds)
            self.contents.append(await self._read(content, on_sent))
        finally:
            self.deploying -= 1
        return _next(self.receipts)

    async def _read(self, content: PackageContent, on_sent: Callable[[int], None]) -> bytes:
        read = b""
        while True:
            chunk = await asyncio.to_thread(os.pread, content.file.fileno(), _CHUNK_BYTES, len(read))
            if len(read) + len(chunk) == content.size_bytes:
                await content.verified()
                on_sent(content.size_bytes)
                return read + chunk
            read += chunk
            on_sent(len(read))

    async def status(self, url: str, receipt: Receipt) -> DeploymentState:
        """Give the next state; refuse a URL on another origin."""
        assert receipt.status_url is not None
        if urlsplit(receipt.status_url)[:2] != urlsplit(url)[:2]:
            raise TransferError(f"the status_url was not requested: {receipt.status_url}", retry=False)
        self.requested.append(receipt.status_url)
        return _next(self.states)


@dataclass
class FakeTarget:
    """One target; every call goes to the script that it shares with the others."""

    url: str
    script: FakeTargets
    closed_before: int = 0
    is_closed: bool = False

    async def check(self) -> None:
        """As the script says."""
        await self.script.check(self.url)

    async def info(self) -> ReceiverInfo | None:
        """As the script says."""
        self._require_open()
        return await self.script.info(self.url)

    async def deploy(self, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        """As the script says; closing all targets ends it."""
        self._require_open()
        limit = asyncio.timeout(None)
        self.script.limits.add(limit)
        try:
            async with limit:
                return await self.script.deploy(self.url, content, on_sent)
        except TimeoutError as exc:
            raise TransferError("it was closed") from exc
        finally:
            self.script.limits.discard(limit)

    async def status(self, receipt: Receipt) -> DeploymentState:
        """As the script says."""
        self._require_open()
        return await self.script.status(self.url, receipt)

    async def close(self) -> None:
        """Refuse later calls."""
        self.is_closed = True

    def _require_open(self) -> None:
        if self.is_closed or self.script.closed > self.closed_before:
            raise TransferError("it was closed", retry=False)


class LateTargets(FakeTargets):
    """Is an hour late at its third attempt and at its third status request, by the loop's own clock."""

    async def deploy(self, url: str, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        """Give the next result."""
        _late_at_the_third(self.sent)
        return await super().deploy(url, content, on_sent)

    async def status(self, url: str, receipt: Receipt) -> DeploymentState:
        """Give the next state."""
        _late_at_the_third(self.requested)
        return await super().status(url, receipt)


def _late_at_the_third(before: Sized) -> None:
    if len(before) == _THIRD - 1:
        put_forward(LATE_SECONDS)


def _next(results: list[T | Exception]) -> T:
    result = results.pop(0) if len(results) > 1 else results[0]
    if isinstance(result, Exception):
        raise result
    return result
