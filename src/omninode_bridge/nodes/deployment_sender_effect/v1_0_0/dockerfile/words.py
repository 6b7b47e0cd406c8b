"""Splits an instruction into words, and finds those that begin a here-document.

The rules are those of github.com/moby/buildkit 0.25, frontend/dockerfile/shell/lex.go and parser/parser.go.
"""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["heredoc_names"]

_HEREDOC: Final = re.compile(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)", re.ASCII)
_BLANKS: Final = " \t\v\f\r"
_NAME: Final = re.compile(r"[0-9]+|[@*#?$!-]|\w+|")


class _WordError(ValueError):
    """The text cannot be split; BuildKit finds no here-document in it then."""


def heredoc_names(instruction: str) -> Iterator[tuple[str, bool]]:
    """Find the here-documents that an instruction begins.

    Args:
        instruction: On one line.

    Yields:
        The line that ends each, and whether tabs before that line do not count (`<<-`).
    """
    for word in _words(instruction, raw=True):
        match = _HEREDOC.fullmatch(word)
        names = _words(match[2], raw=False) if match else []
        if match and len(names) == 1:
            yield names[0], bool(match[1])


def _words(text: str, *, raw: bool) -> list[str]:
    try:
        return _Splitter(text, raw=raw).words()
    except _WordError:
        return []


class _Splitter:
    """Splits at blanks outside of quotes.

    Args:
        text: To split.
        raw: Keep quotes and backslashes.
    """

    def __init__(self, text: str, *, raw: bool) -> None:
        self._text = text
        self._raw = raw
        self._position = 0

    def words(self) -> list[str]:
        words, word = [], ""
        while self._position < len(self._text):
            start = self._position
            character = self._next()
            if character.isspace():
                words.append(word)
                word = ""
            elif character in "'\"":
                word += self._quoted(character)
            elif character == "\\":
                following = self._next()
                word += character + following if self._raw else following
            elif character == "<" and self._is_next("<"):
                self._position += 1
                self._pass_blanks()
                word += self._text[start : self._position]
            elif character == "$":
                self._variable()
                word += self._text[start : self._position]
            else:
                word += character
        return [one for one in (*words, word) if one]

    def _next(self) -> str:
        self._position += 1
        return self._text[self._position - 1 : self._position]

    def _is_next(self, text: str) -> bool:
        return self._text.startswith(text, self._position)

    def _pass_blanks(self) -> None:
        while self._text[self._position : self._position + 1] in tuple(_BLANKS):
            self._position += 1

    def _quoted(self, quote: str) -> str:
        out = quote if self._raw else ""
        while (character := self._next()) != quote:
            if not character:
                raise _WordError("a quote has no end")
            start = self._position - 1
            if quote == '"' and character == "$":
                self._variable()
                character = self._text[start : self._position]
            elif quote == '"' and character == "\\":
                following = self._next() if self._text[self._position : self._position + 1] in ('"', "$", "\\") else ""
                character = character + following if self._raw or not following else following
            out += character
        return out + (quote if self._raw else "")

    def _variable(self) -> None:
        """Pass what follows a `$`; in braces, only what BuildKit knows."""
        if not self._is_next("{"):
            match = _NAME.match(self._text, self._position)
            self._position = match.end() if match else self._position
            return
        self._position += 1
        if self._position == len(self._text) or self._text[self._position] in "{}:":
            raise _WordError("a variable has no name")
        match = _NAME.match(self._text, self._position)
        self._position = match.end() if match else self._position
        modifier = self._next()
        if modifier == ":":
            modifier += self._next()
        if modifier == "}":
            return
        if modifier not in {":-", ":+", ":?", "-", "+", "?", "#", "%", "/"}:
            raise _WordError(f"{modifier} is not known in braces")
        if modifier == "/":
            self._pass_to("/")
        self._pass_to("}")

    def _pass_to(self, end: str) -> None:
        while (character := self._next()) != end:
            if not character:
                raise _WordError("braces have no end")
            if character in "'\"":
                self._quoted(character)
            elif character == "\\":
                self._next()
            elif character == "$":
                self._variable()
