"""From the engine to a package on the disk: export, compress, hash, keep."""

import asyncio
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO

from blake3 import blake3

from bench.measure import Comparison, compare
from bench.programs import b3sum, piped, python, reading, run
from bench.report import Figure, Table, entries
from bench.session import Session, package, running_node
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect

__all__ = ["measure"]

_OURS = ("ours, gzip", "ours, zstd")
_FLOOR = "docker save > /dev/null"
_GZIP = "docker save | gzip -6"
_FIRST_VERSION = "the first version's steps"
_PIPES = {
    "docker save | zstd -1 -T2": ["zstd", "-q", "-c", "-1", "-T2"],
    "docker save | pigz": ["pigz", "-c"],
    _GZIP: ["gzip", "-c", "-6"],
}
_READ_BYTES = 1 << 20


class _Contest:
    """The contestants; each works in a folder that is gone after its turn.

    Attributes:
        sizes: Of the package that each has made last.
        stages_ms: Of ours, by contestant, for each turn.
        wrong: What is incorrect.
    """

    def __init__(self, session: Session, runner: asyncio.Runner, node: NodeDeploymentSenderEffect) -> None:
        self._session = session
        self._run = runner.run
        self._node = node
        self._image = session.image
        self._expected: dict[str, str] = {}
        self._checked: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.stages_ms: dict[str, list[dict[str, float]]] = {name: [] for name in _OURS}
        self.wrong: list[str] = []

    def contestants(self) -> dict[str, Callable[[], float]]:
        """Who takes part."""
        found: dict[str, Callable[[], float]] = {name: partial(self._ours, name) for name in _OURS}
        found |= {_FLOOR: self._save}
        found |= {name: partial(self._pipe, name) for name in _PIPES}
        return found | {_FIRST_VERSION: self._first_version}

    def _ours(self, name: str) -> float:
        output = self._run(package(self._node, self._image, name.removeprefix("ours, ")))
        path = Path(output.package_path or "")
        self.sizes[name] = path.stat().st_size
        self.stages_ms[name].append({stage: ms for stage, ms in output.stages_ms.items() if stage != "build"})
        if name not in self._checked:
            self._checked.add(name)
            self._check(name, path, output.package_checksum or "")
        shutil.rmtree(path.parent)
        return (output.export_duration_ms or 0) / 1000

    def _save(self) -> float:
        started = perf_counter()
        subprocess.run(["docker", "save", self._image.reference], stdout=subprocess.DEVNULL, check=True)
        return perf_counter() - started

    def _pipe(self, name: str) -> float:
        out = self._session.folder / "piped"
        seconds = piped([["docker", "save", self._image.reference], _PIPES[name]], out)
        self.sizes[name] = out.stat().st_size
        out.unlink()
        return seconds

    def _first_version(self) -> float:
        folder = self._session.folder / "first"
        folder.mkdir()
        figures = python("bench.first_version", self._image.reference, str(folder))
        shutil.rmtree(folder)
        self.sizes[_FIRST_VERSION] = figures["size_bytes"]
        return float(figures["seconds"])

    def _check(self, name: str, path: Path, checksum: str) -> None:
        """Compare a package with the engine's own export, with programs that are not ours."""
        self._session.report(f"checking {name}")
        if b3sum(path) != checksum:
            self.wrong.append(f"{name}: the file does not have the checksum that was returned")
        if not self._expected:
            with reading("docker", "save", self._image.reference) as archive:
                self._expected = _content(archive)
            self._session.report("docker load of a package")
            run("docker", "load", "-q", "-i", str(path))
        with reading("gzip" if name == _OURS[0] else "zstd", "-dc", str(path)) as archive:
            if _content(archive) != self._expected:
                self.wrong.append(f"{name}: its archive is not the one that docker save writes")


def _content(stream: IO[bytes]) -> dict[str, str]:
    """Hash each file of an archive."""
    found = {}
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_BYTES) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else io.BytesIO(member.linkname.encode())
            assert content is not None
            hasher = blake3()
            while chunk := content.read(_READ_BYTES):
                hasher.update(chunk)
            found[member.name] = hasher.hexdigest()
    while stream.read(_READ_BYTES):
        pass  # what is behind the archive's end
    return found


def measure(session: Session) -> Table:
    """Compare."""
    image = session.image
    with running_node({"package_dir": str(session.folder / "packages")}) as (runner, node):
        contest = _Contest(session, runner, node)
        once = {_GZIP, _FIRST_VERSION} if session.slow_once else set()
        contestants = contest.contestants()
        contestants[_FLOOR]()  # the engine and the disk are warm from now on
        found = compare(
            contestants,
            session.rounds,
            once=once,
            before=session.turn_of("package"),
        )
    return Table(
        "package",
        f"export, compress, hash and keep an image of {image.size_mb} MB",
        entries=entries(found, ours=_OURS, floor=_FLOOR, details=_sizes(contest.sizes)),
        figures=_figures(found, contest.sizes),
        notes=[f"stages of {name}, median ms: {_stages(stages)}" for name, stages in contest.stages_ms.items()],
        wrong=contest.wrong,
    )


def _sizes(sizes: dict[str, int]) -> dict[str, str]:
    return {name: f"{size / 1e6:,.1f} MB" for name, size in sizes.items()}


def _figures(found: Comparison, sizes: dict[str, int]) -> list[Figure]:
    figures = [Figure(f"{name} / {_FLOOR}", found.ratio(name, _FLOOR), "x", at_most=1.15) for name in _OURS]
    figures += [
        Figure(f"{_FIRST_VERSION} / {name}", found.ratio(_FIRST_VERSION, name), "x", at_least=4) for name in _OURS
    ]
    bounds = zip(_OURS, (1.15, 1.0), strict=True)
    return figures + [
        Figure(f"size of {name} / size of {_GZIP}", sizes[name] / sizes[_GZIP], "x", at_most=most)
        for name, most in bounds
    ]


def _stages(rounds: list[dict[str, float]]) -> str:
    return ", ".join(f"{stage} {median(one[stage] for one in rounds):,.0f}" for stage in rounds[0])
