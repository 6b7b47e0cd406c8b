"""The command `deployment-sender` as a process, as a person runs it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Command"]

MODULE = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli"


@dataclass
class Command:
    """Runs `deployment-sender` with separate folders.

    Attributes:
        environ: Added to this process's environment.
        reference: An image name that no other test has; removed after the test.
        python: The interpreter of the environment that the command is installed in.
    """

    folder: Path
    base_image: str
    reference: str
    environ: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def temporary(self) -> Path:
        """Where the command puts temporary files."""
        return self.folder / "tmp"

    def context(self, dockerfile: str = "COPY greeting /greeting") -> Path:
        """Make a build context on the base image."""
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "greeting").write_text("hello")
        (context / "Dockerfile").write_text(f"FROM {self.base_image}\n{dockerfile}\n")
        return context

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        """Start the command."""
        return subprocess.Popen(
            [self.python, "-m", MODULE, *arguments],
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def document(self, *arguments: str) -> Any:
        """Run it for a program; nothing but one document is on stdout."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def ship(self, to: str, *more: str) -> list[str]:
        """The arguments of a shipment."""
        name, _, tag = self.reference.partition(":")
        return ["ship", str(self.folder / "context"), "--name", name, "--tag", tag, "--to", to, *more]

    def events(self) -> list[str]:
        """The types of the events in the outbox, oldest first."""
        return [event["event_type"] for event in reversed(self.document("events")["events"])]

    def _environ(self) -> dict[str, str]:
        self.temporary.mkdir(exist_ok=True)
        folders = {"PACKAGE_DIR": str(self.folder / "store"), "TMPDIR": str(self.temporary)}
        return {**os.environ, "DEPLOYMENT_SENDER_BASE_IMAGE": self.base_image, **folders, **self.environ}
