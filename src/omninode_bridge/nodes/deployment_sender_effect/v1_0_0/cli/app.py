"""Registers the commands with typer."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from ..resources import Openers
from .command import AsyncCommand, command, expand_option_groups
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.events import drop_event, flush_events, list_events
from .commands.metrics import metrics
from .commands.package import package
from .commands.packages import check_packages, list_packages, prune_packages, remove_package
from .commands.publish import publish
from .commands.ship import ship
from .commands.status import status
from .commands.transfer import transfer
from .once import OnceCommand, OnceGroup
from .options import CommonOptions
from .session import Session

__all__ = ["run"]

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_COMMANDS: dict[str, AsyncCommand] = {
    "demo": demo,
    "ship": ship,
    "package": package,
    "transfer": transfer,
    "publish": publish,
    "status": status,
    "metrics": metrics,
    "doctor": doctor,
}


def run(arguments: Sequence[str], openers: Openers | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.
        openers: How the node opens its clients; tests pass fakes.

    Returns:
        The exit code.
    """
    try:
        _app()(args=list(arguments), prog_name="deployment-sender", obj=openers)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    return 0


def _app() -> typer.Typer:
    app = _group()
    app.callback(no_args_is_help=True)(expand_option_groups(_common))
    for name, function in _COMMANDS.items():
        app.command(name, cls=OnceCommand)(command(function))
    packages = _listing_group(list_packages, remove=remove_package, check=check_packages, prune=prune_packages)
    app.add_typer(packages, name="packages", help="The packages of the store.")
    events = _listing_group(list_events, flush=flush_events, drop=drop_event)
    app.add_typer(events, name="events", help="The events of the outbox.")
    return app


def _listing_group(list_all: AsyncCommand, **others: AsyncCommand) -> typer.Typer:
    """Make a group of commands, which lists if none of them is named."""
    group = _group()
    group.callback(invoke_without_command=True)(command(list_all, of_group=True))
    group.command("list", cls=OnceCommand)(command(list_all))
    for name, function in others.items():
        group.command(name, cls=OnceCommand)(command(function))
    return group


def _group() -> typer.Typer:
    # Plain help, which the documentation can quote, and no options to install shell completion.
    return typer.Typer(
        cls=OnceGroup,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deployment-sender {version('omninode-deployment-sender')}")
        raise typer.Exit


def _common(
    ctx: typer.Context,
    common: CommonOptions,
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Build container images, ship them to machines that have no registry, and publish an event at each step."""
    ctx.obj = Session(common, ctx.obj)
