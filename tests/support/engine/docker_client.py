"""The docker client of this machine, and what it sends of a build context: the real thing to hold ours against.

`python -m support.engine.docker_client` in tests/ writes `unit/dockerfile/dockerignore_cases.json` anew with it.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from support.engine.fake_daemon import Exchange, FakeDaemon

__all__ = ["CASES", "DockerClient", "make_tree", "names_in"]

CASES = Path(__file__).parents[2] / "unit" / "dockerfile" / "dockerignore_cases.json"
# The first with today's rules for `.dockerignore` (github.com/docker/cli 23.0).
_OLDEST = 23


def make_tree(folder: Path, files: list[str]) -> None:
    """Make empty files, with the folders above them."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_in(files: list[str]) -> list[str]:
    """Return the names of files and of the folders above them, sorted."""
    folders = {str(above) for file in files for above in Path(file).parents if above.name}
    return sorted({*files, *folders})


class DockerClient:
    """A client that sends to an engine which keeps what it gets.

    Args:
        program: Of the client.
        daemon: Where it sends to.

    Attributes:
        version: As the client prints it.
    """

    def __init__(self, program: str, version: str, daemon: FakeDaemon) -> None:
        self.version = version
        self._program = program
        self._daemon = daemon
        daemon.on("HEAD", "/_ping", _pong)
        daemon.on("POST", "/build", lambda exchange: exchange.respond(b'{"stream":"done"}\n'))

    @classmethod
    @contextmanager
    def found(cls) -> Iterator[Self | None]:
        """Find a client with today's rules; None if there is none on this machine."""
        program = shutil.which("docker")
        if program is None:
            yield None
            return
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        match = re.search(r"version ((\d+)\.[0-9.]+)", version)
        if match is None or int(match[2]) < _OLDEST:
            yield None
            return
        with tempfile.TemporaryDirectory() as folder, FakeDaemon(Path(folder) / "engine.sock") as daemon:
            yield cls(program, match[1], daemon)

    def sent(self, context: Path) -> list[str] | None:
        """Return the names that the client sends of a context, sorted; None if it refuses."""
        before = len(self._daemon.exchanges)
        result = subprocess.run(
            [self._program, "build", "--quiet", str(context)],
            env={
                "PATH": os.environ["PATH"],
                "DOCKER_HOST": self._daemon.docker_host,
                "DOCKER_BUILDKIT": "0",
                "DOCKER_CONFIG": str(context.parent / "no-configuration"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        builds = [one for one in self._daemon.exchanges[before:] if one.path == "/build"]
        assert bool(builds) == (result.returncode == 0), result
        if not builds:
            return None
        with tarfile.open(fileobj=io.BytesIO(builds[0].body_read)) as archive:
            return sorted(archive.getnames())


def _pong(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nOSType: linux\r\nContent-Length: 0\r\n\r\n")


def _record() -> None:
    cases: dict[str, Any] = json.loads(CASES.read_text())
    with tempfile.TemporaryDirectory() as folder, DockerClient.found() as client:
        assert client is not None, "no docker client of today"
        context = Path(folder) / "context"
        make_tree(context, cases["files"])
        for case in cases["cases"]:
            text = case["text"]
            (context / ".dockerignore").write_text(text, newline="")
            sent = client.sent(context)
            case.clear()
            case |= {"text": text, "left_out": None if sent is None else sorted({*names_in(cases["files"])} - {*sent})}
        cases["client"] = client.version
    lines = ",\n".join(f"    {json.dumps(case, ensure_ascii=False)}" for case in cases["cases"])
    head = json.dumps({"client": cases["client"], "files": cases["files"]}, ensure_ascii=False)[:-1]
    CASES.write_text(f'{head}, "cases": [\n{lines}\n]}}\n')
    sys.stdout.write(f"{len(cases['cases'])} cases, recorded from docker {cases['client']}\n")


if __name__ == "__main__":
    _record()
