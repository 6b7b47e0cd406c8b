"""A package on its way and somebody who brings it, for tests of uploaders."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.response import ReceiverResponse
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import HttpUploader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import PackageUpload
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.receiver.scripted import Reply

__all__ = ["CHECKSUM", "PACKAGE_ID", "UPLOAD", "an_upload", "an_uploader", "as_answer"]

PACKAGE_ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
CHECKSUM = "ab" * 32
UPLOAD = PackageUpload(
    receiver_url="http://receiver:8001",
    file=io.BytesIO(),
    filename="image.tar.gz",
    size_bytes=0,
    package_id=PACKAGE_ID,
    checksum=CHECKSUM,
    container_name="hello",
    image_tag="1.0",
    compression="gzip",
    image_id="sha256:" + "cd" * 32,
    verify_checksum=True,
    correlation_id="deploy-001",
)


@contextmanager
def an_upload(path: Path, receiver_url: str, **changes: Any) -> Iterator[PackageUpload]:
    """Open a file as a package for a receiver."""
    with path.open("rb", buffering=0) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        yield replace(UPLOAD, receiver_url=receiver_url, file=file, size_bytes=size_bytes, **changes)


def an_uploader(**settings: Any) -> HttpUploader:
    """Make an uploader; impatient, so that what hangs is seen soon."""
    values = {"connect_timeout_seconds": 60, "idle_timeout_seconds": 60} | settings
    return HttpUploader(DeploymentSenderSettings.model_validate(values))


def as_answer(reply: Reply) -> ReceiverResponse:
    """Read a scripted reply as the client would."""
    head, _, body = reply.encoded().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return ReceiverResponse(reply.status, headers, body, complete=True)
