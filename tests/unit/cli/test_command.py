"""Typer commands from async functions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.command import command
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.options import CommonOptions
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.session import Session


@dataclass(frozen=True, kw_only=True)
class Colours:
    """A group of options."""

    first: Annotated[str, typer.Option()]
    others: Annotated[list[str], typer.Option("--other")] = field(default_factory=list)


class App:
    """An application with one command, `paint`, and a group, `walls`, that lists by default."""

    def __init__(self, outer: Path | None = Path("/outer")) -> None:
        self.seen: list[object] = []
        self._outer = outer
        self._app = typer.Typer()
        self._app.callback()(self._root)
        self._app.command("paint")(command(self._paint))
        walls = typer.Typer()
        walls.callback(invoke_without_command=True)(command(self._list, of_group=True))
        walls.command("list")(command(self._list))
        self._app.add_typer(walls, name="walls")

    def run(self, *arguments: str) -> int:
        return CliRunner().invoke(self._app, arguments).exit_code

    def help(self, *arguments: str) -> str:
        return CliRunner().invoke(self._app, [*arguments, "--help"]).stdout

    def _root(self, ctx: typer.Context) -> None:
        ctx.obj = Session(CommonOptions(package_dir=self._outer))

    async def _paint(self, session: Session, what: str, colours: Colours, *, twice: bool = False) -> bool:
        """Paint something."""
        self.seen.append((session.package_dir, what, colours, twice))
        return what == "wall"

    async def _list(self, session: Session) -> bool:
        """List the walls."""
        self.seen.append(session.package_dir)
        return True


@pytest.fixture
def app() -> App:
    """A fresh application."""
    return App()


def test_a_group_of_options_arrives_as_one_object(app: App) -> None:
    """Beside the command's own options and the session."""
    app.run("paint", "wall", "--first", "red", "--other", "blue", "--other", "green", "--twice")

    assert [(Path("/outer"), "wall", Colours(first="red", others=["blue", "green"]), True)] == app.seen


def test_options_that_are_not_given_have_the_defaults_of_their_group(app: App) -> None:
    """A list is empty, and a new one each time."""
    app.run("paint", "wall", "--first", "red")

    assert [(Path("/outer"), "wall", Colours(first="red"), False)] == app.seen


def test_an_option_without_a_default_must_be_given(app: App) -> None:
    """That is a wrong command line."""
    assert 2 == app.run("paint", "wall")


@pytest.mark.parametrize(("what", "code"), [("wall", 0), ("sky", 1)])
def test_the_result_becomes_the_exit_code(app: App, what: str, code: int) -> None:
    """True is success."""
    assert code == app.run("paint", what, "--first", "red")


def test_every_command_has_the_common_options() -> None:
    """They have the same effect as before the command's name."""
    app = App(outer=None)
    app.run("paint", "wall", "--first", "red", "--package-dir", "/inner")

    assert [(Path("/inner"), "wall", Colours(first="red"), False)] == app.seen


def test_a_common_option_before_the_command_and_after_it_is_a_wrong_command_line(app: App) -> None:
    """One of the two values would be ignored."""
    assert (2, []) == (app.run("paint", "wall", "--first", "red", "--package-dir", "/inner"), app.seen)


def test_the_docstring_is_the_help(app: App) -> None:
    """The options of a group are listed as the command's."""
    help_text = app.help("paint")

    assert all(words in help_text for words in ("Paint something.", "--first", "--other", "--package-dir"))


@pytest.mark.parametrize("arguments", [("walls",), ("walls", "list")])
def test_a_group_lists_with_and_without_its_command(app: App, arguments: tuple[str, ...]) -> None:
    """Once."""
    app.run(*arguments)

    assert [Path("/outer")] == app.seen


def test_options_of_a_group_reach_its_commands() -> None:
    """`walls --package-dir X list` is `walls list --package-dir X`."""
    app = App(outer=None)
    app.run("walls", "--package-dir", "/inner", "list")

    assert [Path("/inner")] == app.seen
