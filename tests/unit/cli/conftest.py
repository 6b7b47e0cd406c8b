"""The command line with fakes behind it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.app import run
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import EventPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.engine import FakeEngine
from support.uploader import FakeUploader


@dataclass(frozen=True)
class Printed:
    """What a run has left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What programs read."""
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs commands; every run has its own clients, all of them these fakes.

    Attributes:
        publisher: None, and there is no way to the broker.
    """

    folder: Path
    capsys: pytest.CaptureFixture[str]
    engine: FakeEngine = field(default_factory=FakeEngine)
    uploader: FakeUploader = field(default_factory=FakeUploader)
    publisher: EventPublisher | None = None

    @property
    def context(self) -> str:
        """A folder with a Dockerfile."""
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM scratch\n")
        return str(context)

    @property
    def store(self) -> Path:
        """The package folder."""
        return self.folder / "store"

    def run(self, *arguments: str) -> Printed:
        """Run the command line."""
        openers = Openers(self._engine, self._uploader, self._publisher)
        code = run(["--package-dir", str(self.store), *arguments], openers)
        out, err = self.capsys.readouterr()
        return Printed(code, out, err)

    def document(self, *arguments: str) -> Any:
        """Run it for a program."""
        return self.run("--json", *arguments).document

    def packaged(self) -> str:
        """Package something; answer its id."""
        return str(self.document("package", self.context, "--name", "a", "--tag", "1")["package_id"])

    async def _engine(self, _: DeploymentSenderSettings) -> FakeEngine:
        return self.engine

    async def _uploader(self, _: DeploymentSenderSettings) -> FakeUploader:
        return self.uploader

    async def _publisher(self, _: DeploymentSenderSettings) -> EventPublisher:
        if self.publisher is None:
            raise DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, "no broker answers")
        return self.publisher


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line of its own."""
    return CommandLine(tmp_path, capsys)
