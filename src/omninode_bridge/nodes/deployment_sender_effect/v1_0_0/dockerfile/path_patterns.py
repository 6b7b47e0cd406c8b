r"""Matches the patterns of `.dockerignore` as today's docker client does.

The rules are those of github.com/moby/patternmatcher 0.6 and of Go's `path/filepath.Match` and `regexp`, in which it is
written. Four of them are not in its documentation, and are kept because the same files must be sent:

- `*` and `?` also mean a part of a name where they are written between brackets;
- a pattern that begins with `**` and holds no further `*`, `?`, `[` or `\` compares the end of the path;
- `\d`, `\s`, `\w` and `\b` mean what they mean in a regular expression, not the letter;
- beside a `*`, `?`, `[` or `\`, so do `|` and `{2}`.

This is stricter than docker, which ignores a malformed pattern that no file reaches: here it is always an error.
"""

import re
from collections.abc import Callable
from typing import Final

from .go_expressions import ANYTHING, FOLDERS, IN_A_NAME, ONE_CHARACTER, PatternError, go_expression

__all__ = ["PatternError", "path_pattern"]

_MEANS_ITSELF: Final = set(".+()$")  # special in a regular expression, but not in a path's pattern
# path/filepath/match.go: `[`, an optional `^`, characters and ranges, `]`; a backslash may be before a character.
_WELL_FORMED: Final = re.compile(r"(?:[^\\\[]|\\.|\[\^?+(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?+)++\])*+", re.DOTALL)


def path_pattern(pattern: str) -> Callable[[str], object]:
    """Compile a pattern.

    Args:
        pattern: Without a leading `!`, and as `filepath.Clean` leaves it.

    Returns:
        A function that returns whether the pattern matches a relative path with forward slashes: that path itself, not
        one of the folders above it.

    Raises:
        PatternError: It is not well formed.
    """
    _check(pattern)
    kind, expression = _translated(pattern)
    match kind:
        case "exact":
            return pattern.__eq__
        case "prefix":
            prefix = pattern[:-2]
            return lambda path: path.startswith(prefix)
        case "suffix":
            suffix = pattern[2:]
            whole = suffix.removeprefix("/")
            return lambda path: path.endswith(suffix) or path == whole
    return go_expression(expression)


def _check(pattern: str) -> None:
    """Check what `filepath.Match` checks."""
    match = _WELL_FORMED.match(pattern)
    left = pattern[match.end() :] if match else pattern
    if left == "\\":
        raise PatternError("it ends with a backslash")
    if left:
        raise PatternError(f"{left!r} begins with a [ that encloses no characters or ranges")


def _translated(pattern: str) -> tuple[str, str]:
    """Return how to compare (`exact`, `prefix`, `suffix`, `regexp`), and the regular expression as Go reads it."""
    kind, out, position = "exact", ["^"], 0
    while position < len(pattern):
        character, following = pattern[position], pattern[position + 1 : position + 2]
        begins = position == 0
        position += 1
        if character == "*" and following == "*":
            position += 1
            position += pattern[position : position + 1] == "/"
            if position < len(pattern):
                out.append(FOLDERS)
                kind = "regexp"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(ANYTHING)
                kind = "regexp"
            if begins:
                kind = "suffix"
        elif character in "*?":
            out.append(IN_A_NAME if character == "*" else ONE_CHARACTER)
            kind = "regexp"
        elif character == "\\":
            out.append(character + following)
            position += 1
            kind = "regexp"
        else:
            out.append(f"\\{character}" if character in _MEANS_ITSELF else character)
            kind = "regexp" if character in "[]" else kind
    return kind, "".join(out) + "$"
