"""Makes typer commands from async functions.

A parameter annotated with a dataclass becomes one option for each field, so that commands can share groups of options.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import typer

from .options import CommonOptions

if TYPE_CHECKING:
    from .session import Session

__all__ = ["AsyncCommand", "command", "expand_option_groups"]

AsyncCommand = Callable[..., Awaitable[bool]]


def command(function: AsyncCommand, *, of_group: bool = False) -> Callable[..., None]:
    """Make a command that takes the common options besides its own.

    Args:
        function: Takes a `Session` and its own options; returns whether it succeeded. Its docstring is the help.
        of_group: This is the default command of a group, run if none of its commands is named.

    Returns:
        The function to register with typer; it exits with the command's exit code.
    """

    def run(ctx: typer.Context, common: CommonOptions, **own: Any) -> None:
        session: Session = ctx.obj.with_options(common)
        ctx.obj = session
        if not (of_group and ctx.invoked_subcommand):
            raise typer.Exit(session.run(lambda: function(session, **own)))

    context, common = list(inspect.signature(run).parameters.values())[:2]
    _, *own = inspect.signature(function).parameters.values()
    _set_signature(run, [context, *own, common])
    run.__doc__ = function.__doc__
    return expand_option_groups(run)


def expand_option_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter annotated with a dataclass by one parameter for each of its fields."""
    groups: dict[str, Any] = {}
    parameters: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += map(_parameter, fields(parameter.annotation))
        else:
            parameters.append(parameter)

    @wraps(function)
    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        function(**given)

    _set_signature(call, parameters)
    return call


def _parameter(field: Field[Any]) -> Parameter:
    default: Any = Parameter.empty
    if field.default is not MISSING:
        default = field.default
    elif field.default_factory is not MISSING:
        default = field.default_factory()
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.type)


def _set_signature(function: Callable[..., Any], parameters: list[Parameter]) -> None:
    keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
    vars(function)["__signature__"] = Signature(keywords)  # inspect.signature reads it
