"""Images to measure with, made of this machine's /usr: no network is needed, and the content is real."""

import itertools
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import docker
from blake3 import blake3
from docker.errors import ImageNotFound

from bench.programs import BenchError

__all__ = ["CACHE", "REPOSITORY", "Image", "make_image", "remove_all"]

REPOSITORY = "deployment-sender-bench"
CACHE = Path(__file__).parents[1] / ".cache" / "bench"
_SOURCE = Path("/usr")
_BASE_PART, _APPLICATION_PART = 0.3, 0.01  # of the size; the dependencies are the rest
_LARGEST_FILE_PART = 0.1  # of a layer
_FULL_PART = 0.99
_BUILD_SECONDS = 1800


@dataclass(frozen=True)
class Image:
    """An image in the engine: a base tree, a large layer of dependencies and a small one of an application.

    Attributes:
        context: The build context of the last layer; the engine has the build in its cache.
    """

    size_mb: int
    context: Path

    @property
    def tag(self) -> str:
        """Its tag."""
        return f"{self.size_mb}"

    @property
    def reference(self) -> str:
        """Its name and tag."""
        return f"{REPOSITORY}:{self.tag}"


def make_image(size_mb: int, report: Callable[[str], None]) -> Image:
    """Find the image of a size, or make it; it stays until `remove_all`."""
    image = Image(size_mb, CACHE / f"application-{size_mb}")
    with closing(_engine()) as api:
        if not (image.context.is_dir() and _has(api, image.reference)):
            report(f"making an image of {size_mb} MB of {_SOURCE}")
            _make(api, image)
    return image


def remove_all() -> None:
    """Remove every such image, and the folder of what is kept between runs."""
    with closing(_engine()) as api:
        for image in api.images(name=REPOSITORY):
            for reference in image["RepoTags"] or ():
                api.remove_image(reference, force=True)
    shutil.rmtree(CACHE, ignore_errors=True)


def _engine() -> docker.APIClient:
    return docker.APIClient(base_url=os.environ.get("DOCKER_HOST") or None, version="auto", timeout=_BUILD_SECONDS)


def _has(api: docker.APIClient, reference: str) -> bool:
    try:
        api.inspect_image(reference)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return False
    return True


def _make(api: docker.APIClient, image: Image) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    files = _Files()
    size, base, dependencies = image.size_mb * 1_000_000, f"base-{image.tag}", f"dependencies-{image.tag}"
    with tempfile.TemporaryFile(dir=CACHE) as archive:
        _write_layer(archive, files.take(size * _BASE_PART))
        api.import_image_from_data(archive, REPOSITORY, base, changes=["ENV PATH=/bin"])
    with tempfile.TemporaryFile(dir=CACHE) as context:
        text = f"FROM {REPOSITORY}:{base}\nCOPY dependencies /opt/dependencies\n"
        taken = files.take(size * (1 - _BASE_PART - _APPLICATION_PART))
        _write_layer(context, taken, "dependencies", {"Dockerfile": text})
        _build(api, f"{REPOSITORY}:{dependencies}", context)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        draft = Path(folder, "application")
        draft.mkdir()
        for number, (path, _) in enumerate(files.take(size * _APPLICATION_PART)):
            shutil.copyfile(path, draft / f"{number}-{path.name}")
        (draft / "Dockerfile").write_text(f"FROM {REPOSITORY}:{dependencies}\nCOPY . /opt/application\n")
        shutil.rmtree(image.context, ignore_errors=True)
        draft.rename(image.context)
    _build(api, image.reference, image.context)


def _build(api: docker.APIClient, reference: str, context: BinaryIO | Path) -> None:
    where = {"path": str(context)} if isinstance(context, Path) else {"fileobj": context, "custom_context": True}
    for step in api.build(tag=reference, rm=True, forcerm=True, decode=True, **where):
        if "error" in step:
            raise BenchError(f"{reference} cannot be built: {step['error']}")


class _Files:
    """Regular files of /usr, in an order of chance that is always the same here; from the start when they are used up.

    Which come is chance, so that every layer has some of everything.
    """

    def __init__(self) -> None:
        found = []
        for folder, _, names in os.walk(_SOURCE):
            for path in (Path(folder, name) for name in names):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
                    found.append((path, status.st_size))
        found.sort(key=lambda one: blake3(os.fsencode(one[0])).digest())
        if not found:
            raise BenchError(f"{_SOURCE} holds no files to make an image of")
        self._next = ((path, size, turn) for turn in itertools.count() for path, size in found)

    def take(self, size_bytes: float) -> Iterator[tuple[Path, str]]:
        """Take files of so many bytes in all; each with a name."""
        taken = 0
        for path, size, turn in self._next:
            if 0 < size <= min(size_bytes * _LARGEST_FILE_PART, size_bytes - taken):
                taken += size
                yield path, f"{turn or ''}{path}"
            if taken >= size_bytes * _FULL_PART:
                return


def _write_layer(
    sink: BinaryIO, files: Iterator[tuple[Path, str]], folder: str = "", texts: dict[str, str] | None = None
) -> None:
    """Write a tar: its files in the order of their names, as in a real layer, where similar files are neighbours."""
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for path, name in sorted(files, key=lambda one: one[1]):
            tar.add(path, f"{folder}/{name}".replace("//", "/").lstrip("/"), recursive=False)
        for name, text in (texts or {}).items():
            member = tarfile.TarInfo(name)
            with tempfile.TemporaryFile() as content:
                member.size = content.write(text.encode())
                content.seek(0)
                tar.addfile(member, content)
    sink.seek(0)
