"""`deployment-sender demo` with an engine in memory; the real one is in tests/integration."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ImageFacts
from support.engine.engines import FakeEngine

if TYPE_CHECKING:
    from ..conftest import CommandLine

PACKAGE = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for temporary files; no engine is set but the one in memory."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
    monkeypatch.delenv("DEPLOYMENT_SENDER_BASE_IMAGE", raising=False)
    return folder


class Forgetful(FakeEngine):
    """Has no image."""

    async def inspect(self, reference: str) -> ImageFacts | None:
        return None


def test_it_goes_through_seven_steps(cli: "CommandLine") -> None:
    """They are numbered, and the last line has the time that it took."""
    printed = cli.run("demo", "--no-run")

    assert 0 == printed.code
    assert [str(n) for n in range(1, 8)] == re.findall(r"^(\d)\. ", printed.out, re.MULTILINE)
    assert printed.out.splitlines()[-1].startswith("Done in ")


def test_it_removes_what_it_made(cli: "CommandLine", temporary: Path) -> None:
    """Packages stay only in a folder that was given."""
    cli.run("demo", "--no-run")

    assert ([], 1) == (list(temporary.iterdir()), len(cli.document("packages")["packages"]))


def test_the_base_image_is_a_build_argument(cli: "CommandLine", monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given by option or variable; there is none without either."""
    cli.run("demo", "--no-run")
    cli.run("demo", "--no-run", "--base-image", "alpine")
    monkeypatch.setenv("DEPLOYMENT_SENDER_BASE_IMAGE", "debian")
    cli.run("demo", "--no-run")

    assert [{}, {"BASE_IMAGE": "alpine"}, {"BASE_IMAGE": "debian"}] == [
        request.build_args for request in cli.engine.requests
    ]


def test_another_context_can_be_given(cli: "CommandLine") -> None:
    """It is built instead of the demo's own."""
    printed = cli.run("demo", "--no-run", "--context", cli.context)

    assert f"A Dockerfile becomes a package: {cli.context}" in printed.out


def test_a_build_that_fails_ends_the_demo(cli: "CommandLine", temporary: Path) -> None:
    """Advice about the base image and the events so far are printed."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    printed = cli.run("demo", "--no-run")

    assert (1, []) == (printed.code, list(temporary.iterdir()))
    assert "error: BUILD_FAILED: no such base image" in printed.err
    assert "set DEPLOYMENT_SENDER_BASE_IMAGE" in printed.err
    assert "DEPLOYMENT_FAILED" in printed.out


def test_a_missing_engine_gives_no_advice_about_base_images(cli: "CommandLine") -> None:
    """The advice would mislead."""
    cli.engine.fail("build", ErrorCode.DOCKER_UNAVAILABLE)
    printed = cli.run("demo", "--no-run")

    assert (1, False) == (printed.code, "DEPLOYMENT_SENDER_BASE_IMAGE" in printed.err)


def test_an_image_that_is_missing_at_the_end_is_a_failure(cli: "CommandLine") -> None:
    """Whatever the receiver has reported."""
    cli.engine = Forgetful()
    printed = cli.run("demo", "--no-run")

    assert 1 == printed.code
    assert "is not in the engine, though the receiver reported it as loaded" in printed.err


def test_without_the_extra_receiver_the_demo_names_it(cli: "CommandLine", monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for module in ("receiver.server", "cli.demo_steps"):
        monkeypatch.delitem(sys.modules, f"{PACKAGE}.{module}", raising=False)
    printed = cli.run("demo")

    assert (1, []) == (printed.code, cli.engine.calls)
    assert "error: the demo needs a receiver: pip install 'omninode-deployment-sender[cli,receiver]'\n" == printed.err
