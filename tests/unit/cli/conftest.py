"""The command line with fakes behind it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.app import run
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.engine.engines import FakeEngine
from support.kafka.publisher import FakeBroker, FakePublisher
from support.sending.target import FakeTargets


@dataclass(frozen=True)
class Printed:
    """What a run has printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs commands with fakes for all their clients.

    Attributes:
        broker: The broker of KAFKA_BOOTSTRAP_SERVERS; unused while that is not set.
    """

    folder: Path
    capsys: pytest.CaptureFixture[str]
    engine: FakeEngine = field(default_factory=FakeEngine)
    targets: FakeTargets = field(default_factory=FakeTargets)
    broker: FakeBroker = field(default_factory=FakeBroker)

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
        openers = Openers(self._engine, self._targets, self._publisher)
        code = run(["--package-dir", str(self.store), *arguments], openers)
        out, err = self.capsys.readouterr()
        return Printed(code, out, err)

    def document(self, *arguments: str) -> Any:
        """Run it for a program."""
        return self.run("--json", *arguments).document

    def packaged(self) -> str:
        """Package something; return its id."""
        return str(self.document("package", self.context, "--name", "a", "--tag", "1")["package_id"])

    async def _engine(self, _: DeploymentSenderSettings) -> FakeEngine:
        return self.engine

    async def _targets(self, _: DeploymentSenderSettings) -> FakeTargets:
        return self.targets

    async def _publisher(self, _: DeploymentSenderSettings) -> FakePublisher:
        return await self.broker.open()


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line for one test."""
    return CommandLine(tmp_path, capsys)


@pytest.fixture
def broker(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """The broker of that command line, whose address is set now."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    return cli.broker
