"""The real engine for tests, with a base image to build on; the one in memory is in fake.py.

Tests name the fixtures below as arguments; tests/conftest.py brings them in.
"""

import io
import os
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException, NotFound

from support.engine.fake import FakeEngine

__all__ = ["FakeEngine", "RealEngine", "base_image", "real_engine"]

# The names that examples/base_image.py uses, too.
_PULLED = "busybox:latest"
_IMPORTED = "deployment-sender-base:latest"


class RealEngine:
    """The engine that the tests run against, and what they leave in it.

    Attributes:
        api: docker-py's low-level client, to look at what ours has done.
        docker_host: Where it is; None for the local socket.
        base_image: An image with a shell.
    """

    def __init__(self, api: docker.APIClient, base_image: str) -> None:
        self.api = api
        self.docker_host = os.environ.get("DOCKER_HOST") or None
        self.base_image = base_image
        self._images: list[str] = []
        self._containers: list[str] = []

    def new_name(self) -> str:
        """Make a name that is not used yet, for an image or a container."""
        return f"deployment-sender-test-{uuid.uuid4().hex[:12]}"

    def new_image(self) -> str:
        """Make such a `name:tag`, and remove the image later."""
        return self.remove_later(f"{self.new_name()}:1.0")

    def remove_later(self, reference: str) -> str:
        """Remove an image, and every container of it, after the test."""
        self._images.append(reference)
        return reference

    def new_container(self) -> str:
        """Make such a name, and remove the container later."""
        self._containers.append(self.new_name())
        return self._containers[-1]

    def remove(self) -> None:
        """Remove what the test has left."""
        left: list[dict[str, Any]] = []
        for filters in [{"ancestor": name} for name in self._images] + [{"name": name} for name in self._containers]:
            left += self.api.containers(all=True, filters=filters)
        for container_id in {container["Id"] for container in left}:
            with suppress(NotFound):
                self.api.remove_container(container_id, force=True)
        for reference in self._images:
            with suppress(APIError):
                self.api.remove_image(reference, force=True)
            # Built again under the same name, an image has lost it.
            for image in self.api.images(filters={"dangling": True, "label": f"test={reference}"}):
                with suppress(APIError):
                    self.api.remove_image(image["Id"], force=True)


@pytest.fixture(scope="session")
def docker_api() -> Iterator[docker.APIClient]:
    """A client of the real engine; the test fails if there is none."""
    host = os.environ.get("DOCKER_HOST") or None
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=60)
    except DockerException as exc:
        pytest.fail(f"no Docker Engine responds at {host or 'unix:///var/run/docker.sock'}: {exc}", pytrace=False)
    yield api
    api.close()


@pytest.fixture(scope="session")
def base_image(docker_api: docker.APIClient) -> str:
    """An image with a shell: DEPLOYMENT_SENDER_BASE_IMAGE, busybox, or one made of Debian's busybox-static."""
    configured = os.environ.get("DEPLOYMENT_SENDER_BASE_IMAGE")
    for name in filter(None, (configured, _PULLED, _IMPORTED)):
        with suppress(NotFound):
            docker_api.inspect_image(name)  # type: ignore[no-untyped-call]
            return name
    repository, tag = _IMPORTED.split(":")
    docker_api.import_image_from_data(_root_filesystem(), repository, tag, changes=["ENV PATH=/bin", 'CMD ["sh"]'])
    return _IMPORTED


def _root_filesystem() -> bytes:
    busybox = Path("/bin/busybox")
    if not busybox.is_file():
        pytest.fail("no base image: set DEPLOYMENT_SENDER_BASE_IMAGE, or install busybox-static", pytrace=False)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for applet in (
            "cat",
            "chown",
            "dd",
            "echo",
            "false",
            "head",
            "id",
            "ls",
            "printf",
            "sh",
            "sleep",
            "tail",
            "test",
            "touch",
            "true",
            "yes",
        ):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


@pytest.fixture
def real_engine(docker_api: docker.APIClient, base_image: str) -> Iterator[RealEngine]:
    """The real engine; what was named through it is gone after the test."""
    engine = RealEngine(docker_api, base_image)
    yield engine
    engine.remove()
