"""Splits Dockerfiles into instructions as every builder does, with here-documents as BuildKit reads them.

The rules are those of github.com/moby/buildkit 0.25, frontend/dockerfile/parser. Mistakes are left to the
engine, whose messages are better; the callers here need only the content of a well-formed Dockerfile.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from .words import heredoc_names

__all__ = ["Directive", "Dockerfile", "Instruction"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE: Final = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", re.DOTALL)
_DIRECTIVES: Final = {"syntax", "escape", "check"}
_HOLD_HEREDOCS: Final = {"RUN", "COPY", "ADD"}


@dataclass(frozen=True, slots=True)
class Directive:
    """A `# name=value` at the top.

    Attributes:
        name: In lower case.
        line: Counted from 1.
    """

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        keyword: In upper case; behind `ONBUILD`, that of the postponed instruction.
        flags: `--name=value`, without quotes and escapes.
        arguments: What follows the flags, as it is written, on one line.
        line: Where it begins, counted from 1.
        heredocs: The names of its here-documents that have an end.
    """

    keyword: str
    flags: tuple[str, ...]
    arguments: str
    line: int
    heredocs: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return the arguments one by one: those of a JSON array, or those between blanks."""
        return _json_array(self.arguments) or self.arguments.split()


class Dockerfile:
    """A Dockerfile's directives and instructions.

    Args:
        content: The file's bytes.

    Attributes:
        directives: In their order.
        instructions: In their order.
    """

    def __init__(self, content: bytes) -> None:
        text = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
        self._lines = [line.rstrip("\r") for line in text.split("\n")]
        self.directives = tuple(_directives(self._lines))
        escapes = [one.value for one in self.directives if one.name == "escape"]
        self._escape = "`" if escapes[:1] == ["`"] else "\\"
        mark = re.escape(self._escape)
        self._continued = re.compile(rf"(?<!{mark}){mark}[ \t]*\Z")
        # The last position of each line, so that no end is searched for that is not there.
        self._last = {
            tabs: {self._end(n, without_tabs=tabs): n for n in range(len(self._lines))} for tabs in (True, False)
        }
        self.instructions = tuple(self._read())

    def _read(self) -> Iterator[Instruction]:
        position = 0
        while position < len(self._lines):
            begin = position
            text, position = self._joined(position)
            if not text.strip():
                continue
            instruction = self._instruction(text, begin + 1)
            heredocs = tuple(heredoc_names(text)) if _may_hold_heredocs(instruction) and "<<" in text else ()
            end = self._end_of(heredocs, position)
            if end is not None:  # else the shell of a RUN may mean something else by it, such as $((1 << 2))
                position = end
                instruction = replace(instruction, heredocs=tuple(name for name, _ in heredocs))
            yield instruction

    def _joined(self, position: int) -> tuple[str, int]:
        """Return an instruction on one line, without comments, and the position of the line after it."""
        line = self._lines[position].lstrip()
        position += 1
        if line.startswith("#"):
            return "", position
        text, continues = self._without_continuation(line)
        while continues and position < len(self._lines):
            line = self._lines[position]
            position += 1
            if line.strip() and not line.lstrip().startswith("#"):
                line, continues = self._without_continuation(line)
                text += line
        return text, position

    def _without_continuation(self, line: str) -> tuple[str, bool]:
        shortened, count = self._continued.subn("", line)
        return shortened, bool(count)

    def _end_of(self, heredocs: tuple[tuple[str, bool], ...], position: int) -> int | None:
        """Return the position behind the here-documents that begin there; None when one has no end."""
        for name, without_tabs in heredocs:
            if self._last[without_tabs].get(name, -1) < position:
                return None
            while self._end(position, without_tabs=without_tabs) != name:
                position += 1
            position += 1
        return position

    def _end(self, position: int, *, without_tabs: bool) -> str:
        """Return a line as it is compared with the name of a here-document."""
        line = self._lines[position]
        return line.lstrip("\t") if without_tabs else line

    def _instruction(self, text: str, line: int) -> Instruction:
        keyword, _, remainder = _SPACE.sub(" ", text.strip(), count=1).partition(" ")
        flags, arguments = self._flags(remainder)
        if keyword.upper() == "ONBUILD" and arguments:
            return self._instruction(arguments, line)
        return Instruction(keyword.upper(), flags, arguments, line)

    def _flags(self, text: str) -> tuple[tuple[str, ...], str]:
        """Split the words that begin with `--` from the arguments after them."""
        flags: list[str] = []
        position = 0
        while text.startswith("--", position):
            word, position = self._flag(text, position)
            if word == "--":
                break
            flags.append(word)
        return tuple(flags), text[position:].strip()

    def _flag(self, text: str, position: int) -> tuple[str, int]:
        """Return the word that begins at a position, without quotes and escapes, and where the next one begins."""
        word, quote = [], ""
        while position < len(text):
            character = text[position]
            position += 1
            if character == self._escape:
                word.append(text[position : position + 1])
                position += 1
            elif quote:
                word.append("" if character == quote else character)
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
            elif character.isspace():
                break
            else:
                word.append(character)
        while position < len(text) and text[position].isspace():
            position += 1
        return "".join(word), position


def _directives(lines: list[str]) -> Iterator[Directive]:
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.fullmatch(line.lstrip())
        if match is None or match[1].lower() not in _DIRECTIVES:
            return
        yield Directive(match[1].lower(), match[2], number)


def _may_hold_heredocs(instruction: Instruction) -> bool:
    return instruction.keyword in _HOLD_HEREDOCS and _json_array(instruction.arguments) is None


def _json_array(text: str) -> list[str] | None:
    """Return the strings of a JSON array; None if the text is anything else."""
    try:
        value = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None
