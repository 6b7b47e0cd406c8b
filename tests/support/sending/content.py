"""A package to send and the HTTP targets that send it, for tests of `clients/http`."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.response import ReceiverResponse
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import HttpTargets, open_targets
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import PackageContent
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.receiver.scripted import Reply

__all__ = ["CHECKSUM", "CONTENT", "PACKAGE_ID", "content_of", "http_targets", "response_of"]

PACKAGE_ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
CHECKSUM = "ab" * 32
CONTENT = PackageContent(
    identity=PackageIdentity(
        package_id=PACKAGE_ID,
        checksum=CHECKSUM,
        container_name="hello",
        image_tag="1.0",
        size_bytes=0,
        compression="gzip",
        config_digest="sha256:" + "cd" * 32,
    ),
    file=io.BytesIO(),
    filename="image.tar.gz",
    verify_checksum=True,
    correlation_id="deploy-001",
)


@contextmanager
def content_of(path: Path, *, identity: dict[str, Any] | None = None, **changes: Any) -> Iterator[PackageContent]:
    """Open a file as a package.

    Args:
        path: The file.
        identity: Changes to the identity.
        changes: Changes to the rest of the content.
    """
    with path.open("rb", buffering=0) as file:
        found = {"size_bytes": os.fstat(file.fileno()).st_size} | (identity or {})
        yield replace(CONTENT, identity=replace(CONTENT.identity, **found), file=file, **changes)


async def http_targets(**settings: Any) -> HttpTargets:
    """Return targets over HTTP, with time-outs that no test reaches unless it sets its own."""
    values = {"connect_timeout_seconds": 60, "idle_timeout_seconds": 60} | settings
    return await open_targets(DeploymentSenderSettings.model_validate(values))


def response_of(reply: Reply) -> ReceiverResponse:
    """Return a scripted reply as the HTTP client would."""
    head, _, body = reply.encoded().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return ReceiverResponse(reply.status, headers, body, complete=True)
