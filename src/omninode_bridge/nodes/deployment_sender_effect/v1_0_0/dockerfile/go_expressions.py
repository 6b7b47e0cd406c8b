r"""Translates regular expressions of Go into those of Python, as far as the patterns of paths need them.

The rules are those of Go 1.24, regexp/syntax. What no path needs (`\x41`, `\pL`, `\Q`) is refused.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

__all__ = ["ANYTHING", "FOLDERS", "IN_A_NAME", "ONE_CHARACTER", "PatternError", "go_expression"]

FOLDERS, IN_A_NAME, ONE_CHARACTER, ANYTHING = "(.*/)?", "[^/]*", "[^/]", ".*"
"""What an expression may have besides literals, escapes, bracketed classes, `|` and `{2}`."""

_BACKTRACKED = 2  # with up to two parts of any length, Python is as fast as Go
_ALPHANUMERIC: Final = set(string.ascii_letters + string.digits)
_IN_PYTHON: Final = {"$": r"\Z", "}": r"\}", "^": "(?:^)"}  # in a group, it can be repeated as in Go
# Go's regexp/syntax: any other brace is a plain character, and a larger count is an error.
_REPETITION: Final = re.compile(r"([0-9]+)(?:,([0-9]*))?\}")
_REPETITION_MAX: Final = 1000
# Characters that mean the same behind a backslash in Go and in Python (with re.ASCII).
_CLASSES: Final = set("dDsSwW")
_CONTROLS: Final = set("afnrtv")
_POSITIONS: Final = {"b": r"\b", "B": r"\B", "A": r"\A", "z": r"\Z"}
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
    """A pattern that docker refuses, too; the message names the mistake."""


def go_expression(text: str) -> Callable[[str], object]:
    """Compile an expression.

    Args:
        text: As Go would read it.

    Returns:
        A function that returns whether a text contains a match.

    Raises:
        PatternError: Go's `regexp` refuses it, or it uses what no path needs.
    """
    try:
        alternatives = _Expression(text).alternatives()
        if max(sum(part.kind != "fixed" for part in parts) for parts in alternatives) > _BACKTRACKED:
            return _LinearMatcher(alternatives).matches
        return re.compile("|".join("".join(part.text for part in parts) for parts in alternatives), re.ASCII).search
    except (re.error, OverflowError, RecursionError) as exc:
        raise PatternError(f"it is no pattern ({exc})") from exc


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an expression.

    Attributes:
        text: As Python reads it.
        kind: `fixed` if it has one length; `run` if it is any number of one character; `folders`.
    """

    text: str
    kind: str = "fixed"


class _Expression:
    """Translates one expression.

    Args:
        text: Of the expression.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def alternatives(self) -> list[list[_Part]]:
        """Return the alternatives between `|`, each in its parts."""
        found: list[list[_Part]] = [[]]
        while self._position < len(self._text):
            if self._take("|"):
                found.append([])
            elif self._take(FOLDERS):
                found[-1].append(_Part("(?:.*/)?", "folders"))
            elif self._take(ANYTHING):
                found[-1].append(_Part(ANYTHING, "run"))
            else:
                text = self._atom()
                found[-1].append(_Part(f"{text}*", "run") if self._take("*") else _Part(text))
        return found

    def _take(self, text: str) -> bool:
        ahead = self._is_next(text)
        self._position += len(text) if ahead else 0
        return ahead

    def _atom(self) -> str:
        character = self._next()
        if character == "\\":
            return self._escape(_POSITIONS)
        if character == "[":
            return self._class()
        if character == "{":
            return self._repetition()
        return _IN_PYTHON.get(character, character)

    def _next(self) -> str:
        if self._position == len(self._text):
            raise PatternError("a [ has no ] that ends its characters")
        self._position += 1
        return self._text[self._position - 1]

    def _is_next(self, text: str) -> bool:
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
        if self._is_next("^"):
            self._position += 1
            out.append("^")
        first = True
        while first or not self._is_next("]"):
            first = False
            out.append(self._named() or self._perl() or self._range())
        self._position += 1
        return "".join([*out, "]"])

    def _named(self) -> str | None:
        if not self._is_next("[:"):
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
        if not self._is_next("\\") or self._text[self._position + 1 : self._position + 2] not in _CLASSES:
            return None
        self._position += 2
        return self._text[self._position - 2 : self._position]

    def _range(self) -> str:
        low = self._class_character()
        if not self._is_next("-") or self._text[self._position + 1 : self._position + 2] in {"", "]"}:
            return low
        self._position += 1
        return f"{low}-{self._class_character()}"

    def _class_character(self) -> str:
        character = self._next()
        if character == "\\":
            return self._escaped_character(self._next())
        return f"\\{character}" if character in "\\]^-[&~|" else character


class _LinearMatcher:
    """Matches in a time that grows linearly with the path, as Go does; Python would try every way of dividing it.

    Args:
        alternatives: One of them must match.
    """

    def __init__(self, alternatives: list[list[_Part]]) -> None:
        self._alternatives = [
            [
                (kind, re.compile("".join(part.text for part in parts), re.ASCII))
                for kind, group in groupby(one, lambda part: part.kind)
                for parts in ([list(group)] if kind == "fixed" else [[part] for part in group])
            ]
            for one in alternatives
        ]

    def matches(self, path: str) -> bool:
        """Return whether it matches."""
        return any(self._ends(parts, path) for parts in self._alternatives)

    @staticmethod
    def _ends(parts: list[tuple[str, re.Pattern[str]]], path: str) -> set[int]:
        """Return where a match may end, all of its parts matched one after the other."""
        places = set(range(len(path) + 1))
        for kind, expression in parts:
            after: set[int] = set()
            reached = 0
            for place in sorted(places):
                match = expression.match(path, place)
                if match is None:
                    continue
                if kind == "fixed":
                    after.add(match.end())
                    continue
                after.add(place)
                further = range(
                    max(place, reached), match.end()
                )  # earlier places have gone through the remaining parts
                after.update(at + 1 for at in further if kind == "run" or path[at] == "/")
                reached = max(reached, match.end())
            places = after
        return places
