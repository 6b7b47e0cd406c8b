"""All commands together, and the entry point."""

import sys
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import cli as package
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.app import run

if TYPE_CHECKING:
    from .conftest import CommandLine

COMMANDS = ("demo", "ship", "package", "transfer", "publish", "status", "metrics", "doctor", "packages", "events")


def test_help_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its first sentence, not cut off."""
    code, output = run(["--help"]), capsys.readouterr().out

    assert 0 == code
    lines = output.partition("Commands:\n")[2].splitlines()
    assert COMMANDS == tuple(line.split()[0] for line in lines)
    assert [] == [line for line in lines if not line.endswith(".") or line.endswith("...")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is plain text, without frames or colours."""
    assert 0 == run([name, "--help"])
    assert capsys.readouterr().out.isascii()


def test_no_command_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is printed."""
    assert 2 == run([])
    assert "Usage: deployment-sender" in "".join(capsys.readouterr())


def test_an_unknown_option_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The message is on stderr, without a traceback."""
    assert 2 == run(["packages", "--nonsense"])
    assert ("", True) == ((printed := capsys.readouterr()).out, "No such option: --nonsense" in printed.err)


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """As pip knows it."""
    assert 0 == run(["--version"])
    assert "deployment-sender 1.0.0\n" == capsys.readouterr().out


def test_common_options_may_stand_before_the_command(cli: "CommandLine") -> None:
    """Or after it."""
    before, behind = cli.run("--json", "packages"), cli.run("packages", "--json")

    assert {"packages": []} == before.document == behind.document


@pytest.fixture
def without_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `cli` were not installed."""
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, f"{package.__name__}.app", raising=False)
    monkeypatch.delitem(sys.modules, f"{package.__name__}.command", raising=False)


def test_the_entry_point_exits_with_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It reads the process's own arguments."""
    monkeypatch.setattr(sys, "argv", ["deployment-sender", "--version"])
    with pytest.raises(SystemExit) as left:
        package.main()

    assert 0 == left.value.code


@pytest.mark.usefixtures("without_typer")
def test_without_its_extra_the_command_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback."""
    with pytest.raises(SystemExit) as left:
        package.main()

    assert 1 == left.value.code
    assert (
        "deployment-sender needs its extra: pip install 'omninode-deployment-sender[cli]'\n" == capsys.readouterr().err
    )
