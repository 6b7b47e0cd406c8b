"""Images that are made for one run, and removed after it."""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
from docker.errors import APIError

__all__ = ["Images"]

_PAYLOAD_BYTES = 1_000_000  # large enough to be cut in the middle
_LABEL = "soak-run"


class Images:
    """Build contexts, alike but for one small file; what was built of them is gone after the `with` block.

    Args:
        folder: For the contexts.

    Attributes:
        name: Of every image; the tag is the deployment's number.
    """

    def __init__(self, folder: Path) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._folder = folder
        self._payload = os.urandom(_PAYLOAD_BYTES)
        self.name = f"deployment-sender-soak-{self._run}"

    def context(self, number: int) -> Path:
        """Write the context of another image; a layer that all share comes first."""
        folder = self._folder / str(number)
        folder.mkdir(parents=True)
        (folder / "payload").write_bytes(self._payload)
        (folder / "number").write_text(f"{number}\n")
        lines = ["FROM scratch", f"LABEL {_LABEL}={self._run}", "COPY payload /", "COPY number /", ""]
        (folder / "Dockerfile").write_text("\n".join(lines))
        return folder

    def __enter__(self) -> Self:
        self._api = docker.APIClient(base_url=os.environ.get("DOCKER_HOST") or None, version="auto")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The label is the Dockerfile's, so that the steps of a build that was broken off have it, too.
        filters = {"label": f"{_LABEL}={self._run}"}
        for container in self._api.containers(all=True, filters=filters):
            self._api.remove_container(container["Id"], force=True)
        # A step goes with the last image that is made of it; what is left are steps of builds that were broken off.
        for every in (False, True):
            for image in self._api.images(filters=filters, all=every):
                with suppress(APIError):  # it has gone with another one
                    self._api.remove_image(image["Id"], force=True)
        self._api.close()
