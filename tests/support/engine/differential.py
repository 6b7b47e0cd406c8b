"""Loads what the receiver accepts on real engines, and reports what changed there beside the announced image."""

import asyncio
import fcntl
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import docker
from blake3 import blake3
from docker.errors import APIError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine, open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.compression import decompressed, detect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import ImageArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.engine_archive import EngineArchive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import ArchiveLimits, TarReader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.reference import ImageReference
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.image_loader import (
    ImageLoader,
    WrongImageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.packages import Packages
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.records import Deployments
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.state import ReceiverState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.archives.archives import image_archive, layer
from support.archives.mutations import ANNOUNCED, OTHERS

__all__ = ["Differential", "Report", "engine_hosts"]


_KNOWN = frozenset(str(ImageReference.parse(name)) for name in (ANNOUNCED, *OTHERS))


def engine_hosts() -> list[str]:
    """Return the machine's engine, and those that DEPLOYMENT_SENDER_TEST_ENGINES names besides."""
    own = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    return [own, *os.environ.get("DEPLOYMENT_SENDER_TEST_ENGINES", "").replace(",", " ").split()]


@dataclass
class Report:
    """How it went.

    Attributes:
        refused: Packages that the receiver refused.
        accepted: Packages that it accepted.
        loaded: Images among those that each engine has loaded; equal ones count once.
        declined: Images that each engine did not want.
        faults: What must not be; each with its package.
    """

    refused: int = 0
    accepted: int = 0
    loaded: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class _Engine:
    """An engine that has an image under every name that packages speak of.

    Others may use it meanwhile: only what packages speak of, and what is in them, is compared. One at a time does so.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        name = f"differential-{hashlib.sha256(host.encode()).hexdigest()[:16]}"
        self._lock = os.open(Path(tempfile.gettempdir(), name), os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.api = docker.APIClient(base_url=host, version="auto", timeout=60)
        for name in (ANNOUNCED, *OTHERS):
            archive = image_archive("oci", name, [layer(before=name.encode())])
            self.api.load_image(archive, quiet=True)  # type: ignore[no-untyped-call]
        self.names, self.ids = self._look()

    def _look(self) -> tuple[dict[str, str], frozenset[str]]:
        images = self.api.images(all=True)
        named = [(name, image["Id"]) for image in images for name in image.get("RepoTags") or ()]
        names = {str(ImageReference.parse(name)): image_id for name, image_id in named if name != "<none>:<none>"}
        return names, frozenset(image["Id"] for image in images)

    def changes(self, image: ImageArchive, loaded: str | None, inside: frozenset[str]) -> list[str]:
        """Return what changed beside the announced name and image, and make that the state to compare with.

        Args:
            image: What was announced.
            loaded: The engine's id of it; None if the engine has not loaded it.
            inside: The ids of the image, and the digests of all files in the package, as whatever else it may have
                loaded would be called.
        """
        before, ids = self.names, self.ids
        self.names, self.ids = self._look()
        announced = str(ImageReference.parse(ANNOUNCED))
        expected = before | ({announced: loaded} if loaded else {})
        moved = {name for name in expected | self.names if expected.get(name) != self.names.get(name)}
        ours = {name for name in moved if name in _KNOWN or self.names.get(name) in inside}
        found = [f"{name} leads to {self.names.get(name)}, not {expected.get(name)}" for name in sorted(ours)]
        found += [f"{image_id} is new" for image_id in (self.ids - ids - {loaded}) & inside]
        # Engines do not export an image of no layers ("empty export - not implemented").
        if loaded and image.layers and self._config_digest() != image.config_digest:
            found.append(f"{ANNOUNCED} is not {image.config_digest}")
        previous = before.get(announced, "")
        if loaded and previous != loaded and previous not in self.names.values():
            with suppress(APIError):
                self.api.remove_image(previous)
            self.ids -= {previous}
        return found

    def _config_digest(self) -> str:
        """Read the configuration back, by the standard library and in the engine's own words."""
        exported = b"".join(self.api.get_image(ANNOUNCED))
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            (entry,) = json.loads(_content(tar, "manifest.json"))
            return f"sha256:{hashlib.sha256(_content(tar, entry['Config'])).hexdigest()}"

    def close(self) -> None:
        """Remove what was put there."""
        for name in (ANNOUNCED, *OTHERS):
            with suppress(APIError):
                self.api.remove_image(name, force=True)
        self.api.close()
        os.close(self._lock)


def _digests(package: bytes) -> frozenset[str]:
    """Hash every file in a package that was accepted."""
    archive = decompressed([package], detect(package[:4]), max_bytes=1 << 30)
    contents = (b"".join(content) for _, content in TarReader(archive, ArchiveLimits()))
    return frozenset(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


class Differential:
    """Has packages loaded as the receiver does it, on every engine.

    Args:
        folder: For the receiver's store.
        hosts: Addresses of the engines.
    """

    def __init__(self, folder: Path, hosts: Iterable[str]) -> None:
        self._folder = folder
        self._hosts = hosts
        self._seen: set[frozenset[str]] = set()
        self.report = Report()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            workers = ThreadPool(2)
            stack.push_async_callback(workers.close)
            self._deployments = Deployments(self._folder, workers)
            await self._deployments.open()
            shared = ReceiverState(await asyncio.to_thread(ReceiverSettings), workers, self._deployments)
            self._packages = Packages(shared)
            self._loading = ImageLoader(self._deployments, self._packages)
            self._engines: list[tuple[_Engine, DockerEngine]] = []
            for host in self._hosts:
                opened = await open_engine(docker_host=host)
                stack.push_async_callback(opened.close)
                engine = await asyncio.to_thread(_Engine, host)
                stack.push_async_callback(asyncio.to_thread, engine.close)
                self._engines.append((engine, opened))
            self._ends = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._ends.aclose()

    async def check(self, label: str, package: bytes) -> str:
        """Receive a package, and load it where it is accepted; return the reason where it is not."""
        name, _, tag = ANNOUNCED.partition(":")
        checksum = blake3(package).hexdigest()
        fields = UploadFields(package_id=str(uuid4()), checksum=checksum, container_name=name, image_tag=tag)
        staged = await self._deployments.begin(str(uuid4()))
        await asyncio.to_thread(staged.file.write, package)
        await asyncio.to_thread(staged.file.flush)
        deployment = Deployment.new(staged.entry_id, fields, size_bytes=len(package))
        try:
            image = await self._packages.check(staged.path, deployment)
        except OperationError as exc:
            self.report.refused += 1
            await asyncio.to_thread(staged.abort)
            return exc.message
        self.report.accepted += 1
        # The archive for the engine is made of the image alone, so an equal one would be the same archive.
        ids = EngineArchive(image, ANNOUNCED).image_ids
        if ids in self._seen:
            await asyncio.to_thread(staged.abort)
            return ""
        self._seen.add(ids)
        await self._deployments.keep(staged, deployment)
        inside = ids | await asyncio.to_thread(_digests, package)
        for engine, opened in self._engines:
            loaded = await self._load(engine, opened, deployment, image, label)
            for change in await asyncio.to_thread(engine.changes, image, loaded, inside):
                self.report.faults.append(f"{label}: {engine.host}: {change}")
        return ""

    async def _load(
        self, engine: _Engine, opened: DockerEngine, deployment: Deployment, image: ImageArchive, label: str
    ) -> str | None:
        try:
            loaded = await self._loading.load(opened, deployment, image)
        except OperationError as exc:
            self.report.declined[engine.host] += 1
            if isinstance(
                exc, EngineUnavailableError | WrongImageError
            ):  # that was noticed, and should not have come so far
                self.report.faults.append(f"{label}: {engine.host}: {exc.message}")
            return None
        self.report.loaded[engine.host] += 1
        return loaded
