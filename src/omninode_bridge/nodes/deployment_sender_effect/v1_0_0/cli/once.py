"""Commands whose options say so when they are given twice: otherwise the last one counts, and the others in silence."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from typer import Context
from typer.core import TyperCommand, TyperGroup

__all__ = ["OnceCommand", "OnceGroup"]


class _Once:
    """Reads a command line as the class beside it does, and refuses what is there twice."""

    def make_parser(
        self, ctx: Context
    ) -> Any:  # the parser's class is click's, which typer has brought itself since 0.26
        parser = super().make_parser(ctx)  # type: ignore[misc] # mixed in with a Command
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            found = parse(args=args)
            _insist_on_once(ctx, found[2])
            return found

        parser.parse_args = parse_once
        return parser


class OnceCommand(_Once, TyperCommand):  # type: ignore[misc] # as make_parser
    """A command."""


class OnceGroup(_Once, TyperGroup):  # type: ignore[misc] # as make_parser
    """A group of commands."""


def _insist_on_once(ctx: Context, given: Sequence[Any]) -> None:
    """Refuse options that are given twice and hold one value.

    Args:
        ctx: The command's.
        given: The parameters in the order of the command line, each as often as it is there.
    """
    for parameter, times in Counter(given).items():
        is_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
        may_repeat = parameter.param_type_name != "option" or parameter.multiple or is_switch
        if times > 1 and not may_repeat:
            name = "/".join([*parameter.opts, *parameter.secondary_opts])
            ctx.fail(f"{name} is given {times} times; give it once.")
