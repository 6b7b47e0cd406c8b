r"""The patterns of `.dockerignore`, matched as today's docker client matches them.

The rules are those of github.com/moby/patternmatcher 0.6 and of Go's `path/filepath.Match` and `regexp`, in which it is
written. Four of them are not in its documentation, and are kept because the same files must be sent:

- `*` and `?` also stand for a part of a name where they are written between brackets;
- a pattern that begins with `**` and holds no further `*`, `?`, `[` or `\` compares the end of the path;
- `\d`, `\s`, `\w` and `\b` mean what they mean in a regular expression, not the letter;
- beside a `*`, `?`, `[` or `\`, so do `|` and `{2}`.

Stricter than docker, which passes over a pattern that no file comes to: what is not well formed is always an error.
"""

import re
import string
from collections.abc import Callable
from typing import Final

__all__ = ["PatternError", "path_pattern"]

_MEANS_ITSELF: Final = set(".+()$")  # of no meaning in a path's pattern, but of one in a regular expression
_FOLDERS, _IN_A_NAME, _ONE_CHARACTER, _ANYTHING = "(.*/)?", "[^/]*", "[^/]", ".*"
_ALPHANUMERIC: Final = set(string.ascii_letters + string.digits)
_IN_PYTHON: Final = {"$": r"\Z", "}": r"\}", "^": "(?:^)"}  # in a group, it can be repeated as in Go
# Go's regexp/syntax: any other brace stands for itself, and a larger count is an error.
_REPETITION: Final = re.compile(r"([0-9]+)(?:,([0-9]*))?\}")
_REPETITION_MAX: Final = 1000
# What both Go and Python (with re.ASCII) know behind a backslash, with the same meaning.
_CLASSES: Final = set("dDsSwW")
_CONTROLS: Final = set("afnrtv")
_POSITIONS: Final = {"b": r"\b", "B": r"\B", "A": r"\A", "z": r"\Z"}
# path/filepath/match.go: `[`, an optional `^`, characters and ranges, `]`; a backslash may stand before a character.
_WELL_FORMED: Final = re.compile(r"(?:[^\\\[]|\\.|\[\^?+(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?+)++\])*+", re.DOTALL)
_NAMED: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


class PatternError(ValueError):
    """A pattern that docker refuses, too; the text says what is wrong with it."""


def path_pattern(pattern: str) -> Callable[[str], object]:
    """Compile a pattern.

    Args:
        pattern: Without a leading `!`, and as `filepath.Clean` leaves it.

    Returns:
        A function that says whether the pattern matches a relative path with forward slashes: that path itself, not
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
    try:
        return re.compile(_Expression(expression).in_python(), re.ASCII).search
    except (re.error, OverflowError, RecursionError) as exc:
        raise PatternError(f"it is no pattern ({exc})") from exc


def _check(pattern: str) -> None:
    """Insist on what `filepath.Match` insists on."""
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
                out.append(_FOLDERS)
                kind = "regexp"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(_ANYTHING)
                kind = "regexp"
            if begins:
                kind = "suffix"
        elif character in "*?":
            out.append(_IN_A_NAME if character == "*" else _ONE_CHARACTER)
            kind = "regexp"
        elif character == "\\":
            out.append(character + following)
            position += 1
            kind = "regexp"
        else:
            out.append(f"\\{character}" if character in _MEANS_ITSELF else character)
            kind = "regexp" if character in "[]" else kind
    return kind, "".join(out) + "$"


class _Expression:
    """Says in Python's words what an expression in Go's says.

    Args:
        text: Made of literals, escapes, bracketed classes and the four constructs above.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def in_python(self) -> str:
        r"""Return the expression.

        Raises:
            PatternError: Go's `regexp` does not take it, or it uses what no path needs (`\x41`, `\pL`, `\Q`).
        """
        out = []
        while self._position < len(self._text):
            character = self._next()
            if character == "\\":
                out.append(self._escape(_POSITIONS))
            elif character == "[":
                out.append(self._class())
            elif character == "{":
                out.append(self._repetition())
            else:
                out.append(_IN_PYTHON.get(character, character))
        return "".join(out)

    def _next(self) -> str:
        if self._position == len(self._text):
            raise PatternError("a [ has no ] that ends its characters")
        self._position += 1
        return self._text[self._position - 1]

    def _ahead(self, text: str) -> bool:
        return self._text.startswith(text, self._position)

    def _repetition(self) -> str:
        match = _REPETITION.match(self._text, self._position)
        if match is None:
            return r"\{"
        if any(int(count) > _REPETITION_MAX for count in match.groups() if count):
            raise PatternError(f"a repetition is over {_REPETITION_MAX}")
        self._position = match.end()
        return f"{{{match[0]}"

    def _escape(self, positions: dict[str, str]) -> str:
        character = self._next()
        if character in positions:
            return positions[character]
        if character in _CLASSES:
            return r"[^\t\n\f\r ]" if character == "S" else r"[\t\n\f\r ]" if character == "s" else f"\\{character}"
        return self._escaped_character(character)

    @staticmethod
    def _escaped_character(character: str) -> str:
        if character in _CONTROLS:
            return f"\\{character}"
        if character in _ALPHANUMERIC or not character.isascii():
            raise PatternError(f"a backslash before {character} has no meaning; folders are divided by /")
        return re.escape(character)

    def _class(self) -> str:
        out = ["["]
        if self._ahead("^"):
            self._position += 1
            out.append("^")
        first = True
        while first or not self._ahead("]"):
            first = False
            out.append(self._named() or self._perl() or self._range())
        self._position += 1
        return "".join([*out, "]"])

    def _named(self) -> str | None:
        if not self._ahead("[:"):
            return None
        end = self._text.find(":]", self._position + 2)
        if end < 0:
            return None
        name = self._text[self._position + 2 : end]
        self._position = end + 2
        if name not in _NAMED:
            raise PatternError(f"[:{name}:] names no characters")
        return _NAMED[name]

    def _perl(self) -> str | None:
        if not self._ahead("\\") or self._text[self._position + 1 : self._position + 2] not in _CLASSES:
            return None
        self._position += 2
        return self._text[self._position - 2 : self._position]

    def _range(self) -> str:
        low = self._class_character()
        if not self._ahead("-") or self._text[self._position + 1 : self._position + 2] in {"", "]"}:
            return low
        self._position += 1
        return f"{low}-{self._class_character()}"

    def _class_character(self) -> str:
        character = self._next()
        if character == "\\":
            return self._escaped_character(self._next())
        return f"\\{character}" if character in "\\]^-[&~|" else character
