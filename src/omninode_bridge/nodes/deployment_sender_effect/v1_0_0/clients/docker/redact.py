"""Redacts build-argument values and strips terminal control sequences."""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

__all__ = ["LINE_BREAK", "Redactor", "strip_control_characters"]

# A carriage return ends a line, too: progress bars use it to write over the line.
LINE_BREAK = re.compile(r"[\r\n]+")

_HIDDEN = "***"
# A shorter value is not secret (it takes a million guesses at most), and replacing it everywhere would make the log
# unreadable: with DEBUG=1, `Step 1/12 : RUN x1` would become `Step ***/***2 : RUN x***`. It is replaced as a word only.
_SHORT_CHARACTERS = 4
# ECMA-48: control sequences (the engine's own red for stderr is one), then every other control character but tab.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def strip_control_characters(text: str) -> str:
    """Return a line without control sequences and control characters, except tabs."""
    return _CONTROL.sub("", text)


class Redactor:
    r"""Replaces each value by `***`, wherever it appears.

    It finds the value itself, each of its lines (a log shows it line by line), and both as JSON (`\"`, `\u00e9`) and
    as a URL (`%20`, `+`) write them. It does not find what a RUN step makes of a value: base64, parts, its reverse.
    Values shorter than four characters are replaced where no letter or digit is next to them.

    Args:
        values: Of the build arguments; empty and blank ones are ignored.
    """

    def __init__(self, values: Iterable[str]) -> None:
        needles = {needle for value in values for needle in _needles(value)}
        patterns = [_pattern(needle) for needle in sorted(needles, key=len, reverse=True)]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, text: str) -> str:
        """Return the text without the values."""
        return self._pattern.sub(_HIDDEN, text) if self._pattern else text


def _pattern(needle: str) -> str:
    if len(needle) >= _SHORT_CHARACTERS:
        return re.escape(needle)
    return rf"(?<!\w){re.escape(needle)}(?!\w)"


def _needles(value: str) -> Iterator[str]:
    whole = value.strip()
    lines = [strip_control_characters(line).strip() for line in LINE_BREAK.split(whole)]
    for text in {whole, *(line for line in lines if len(line) >= _SHORT_CHARACTERS or len(lines) == 1)}:
        if text:
            yield from _spellings(text)


def _spellings(text: str) -> Iterator[str]:
    escaped = json.dumps(text)[1:-1]
    yield text
    yield escaped
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    for spelling in (text, escaped):
        yield quote(spelling, errors="replace")
        yield quote(spelling, safe="", errors="replace")
        yield quote_plus(spelling, errors="replace")
