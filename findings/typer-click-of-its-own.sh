#!/bin/sh
# typer 0.29.2 (PyPI) carries a copy of click, typer._click, and uses it though click is installed too. So a Typer app is no
# click.Command any more, a typer.Context no click.Context, and typer.BadParameter no click.BadParameter: an `except
# click.ClickException`, an isinstance check, or a tool that documents click commands passes over all that Typer makes.
# Seen:     False three times with click 8.5.1 beside it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check typer==0.29.2 click==8.5.1
"$folder/venv/bin/python" - <<'END'
import click
import typer
import typer.main

app = typer.Typer()


@app.command()
def hello() -> None:
    """Do nothing."""


command = typer.main.get_command(app)
seen = [
    isinstance(command, click.Command),
    issubclass(typer.Context, click.Context),
    issubclass(typer.BadParameter, click.ClickException),
]
print(seen, type(command).__mro__[1].__module__)
assert seen == [False, False, False] and type(command).__mro__[1].__module__ == "typer._click.core"
END
