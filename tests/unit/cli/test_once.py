"""Options that are given twice."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.once import OnceCommand, OnceGroup


def run(*arguments: str) -> tuple[int, str]:
    """Run an application with one command, `paint`; return its exit code and what it has printed."""
    app = typer.Typer(cls=OnceGroup)

    @app.callback()
    def root(house: Annotated[str, typer.Option()] = "") -> None:
        """Do something with a house."""

    @app.command("paint", cls=OnceCommand)
    def paint(
        walls: list[str],
        colour: Annotated[str, typer.Option("--colour", "-c")] = "red",
        other: Annotated[list[str], typer.Option()] = [],  # noqa: B006 - as typer wants it
        twice: Annotated[bool, typer.Option("--twice/--once")] = False,
        quiet: Annotated[bool, typer.Option("--quiet")] = False,
    ) -> None:
        """Paint walls."""

    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paint", "wall", "--colour", "red", "--colour", "blue"], "--colour/-c is given 2 times; give it once."),
        (["paint", "wall", "-c", "red", "--colour=red", "-cred"], "--colour/-c is given 3 times; give it once."),
        (["paint", "wall", "--twice", "--once"], "--twice/--once is given 2 times; give it once."),
        (["--house", "a", "--house", "b", "paint", "wall"], "--house is given 2 times; give it once."),
    ],
)
def test_an_option_with_one_value_may_be_given_once(arguments: list[str], words: str) -> None:
    """The exit code is 2 otherwise."""
    code, printed = run(*arguments)

    assert 2 == code
    assert words in " ".join(printed.replace("│", " ").split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--house", "a", "paint", "wall", "door", "--colour", "red", "--once"],
        ["paint", "wall", "--other", "a", "--other", "b"],
        ["paint", "wall", "--quiet", "--quiet"],
    ],
)
def test_lists_and_switches_may_be_repeated(arguments: list[str]) -> None:
    """Several values, several arguments, and a switch that is on already."""
    assert 0 == run(*arguments)[0]
