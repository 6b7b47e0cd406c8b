"""Commands that refuse an option which is given twice: typer would silently use the last value."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["OnceCommand", "OnceGroup"]


class OnceCommand(TyperCommand):
    """A command."""

    def make_parser(self, ctx: Any) -> Any:  # both types are click's, which is a private part of typer since 0.26
        """Return a parser that refuses repeated options."""
        return _refusing_repeats(super().make_parser(ctx), ctx)


class OnceGroup(TyperGroup):
    """A group of commands."""

    def make_parser(self, ctx: Any) -> Any:  # as above
        """Return a parser that refuses repeated options."""
        return _refusing_repeats(super().make_parser(ctx), ctx)


def _refusing_repeats(parser: Any, ctx: Any) -> Any:
    parse = parser.parse_args

    def parse_args(args: list[str]) -> Any:
        parsed = parse(args=args)
        _refuse_repeats(ctx, parsed[2])
        return parsed

    parser.parse_args = parse_args
    return parser


def _refuse_repeats(ctx: Any, given: Sequence[Any]) -> None:
    """Fail if an option that has one value is given twice.

    Args:
        ctx: The command's.
        given: The parameters in the order of the command line, repeated ones repeatedly.
    """
    for parameter, times in Counter(given).items():
        is_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
        may_repeat = parameter.param_type_name != "option" or parameter.multiple or is_switch
        if times > 1 and not may_repeat:
            name = "/".join([*parameter.opts, *parameter.secondary_opts])
            ctx.fail(f"{name} is given {times} times; give it once.")
