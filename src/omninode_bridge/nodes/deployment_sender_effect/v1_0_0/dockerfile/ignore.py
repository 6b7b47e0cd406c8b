"""Reads `.dockerignore`: which files of a context are not sent, by the rules of today's docker client.

Read as github.com/moby/patternmatcher/ignorefile 0.6 reads it, and walked as github.com/moby/go-archive 0.1 walks a
context for the client of Docker 28: the last pattern that matches a file, or a folder above it, decides whether it is
ignored; `!` before a pattern includes it again.
"""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from .path_patterns import PatternError, path_pattern

__all__ = ["IgnoreFileError", "IgnoreRules", "Verdict"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Go's bufio.MaxScanTokenSize: a line that long is an error there.
_LINE_BYTES = 1 << 16  # 64 KiB
# unicode.IsSpace of Go. Python's own strip() takes more.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class IgnoreFileError(ValueError):
    """A `.dockerignore` that docker refuses, too; the message names the line."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern.

    Attributes:
        text: Without the `!`.
        is_exception: Whether it includes again.
        matches: Whether it matches this path itself.
    """

    text: str
    is_exception: bool
    matches: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the rules for one path.

    Attributes:
        ignored: Whether it is ignored.
        matched: For each rule, whether it matched this path or a folder above; for the verdict on what is inside.
    """

    ignored: bool
    matched: tuple[bool, ...] = ()


class IgnoreRules:
    """The patterns of one `.dockerignore`, in their order.

    Args:
        content: The file's bytes.

    Raises:
        IgnoreFileError: A line is no pattern.
    """

    def __init__(self, content: bytes = b"") -> None:
        lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
        self._rules = [rule for number, line in enumerate(lines, 1) if (rule := _rule(number, line))]
        self._exceptions = [f"{rule.text}/" for rule in self._rules if rule.is_exception]

    def verdict(self, path: str, above: Verdict | None = None) -> Verdict:
        """Return whether a path is ignored.

        Args:
            path: Relative to the context, with forward slashes.
            above: The verdict on the folder that it is in; None for the context itself.
        """
        inherited = above.matched if above else (False,) * len(self._rules)
        ignored, matched = False, []
        for rule, before in zip(self._rules, inherited, strict=True):
            # A rule that would change nothing is skipped, and then does not count for what is inside either.
            match = before or (rule.is_exception is ignored and bool(rule.matches(path)))
            matched.append(match)
            if match:
                ignored = not rule.is_exception
        return Verdict(ignored, tuple(matched))

    def has_exception_inside(self, folder: str) -> bool:
        """Return whether an exception is spelled as leading into an ignored folder; else the folder is not read."""
        return any(exception.startswith(f"{folder}/") for exception in self._exceptions)


def _rule(number: int, line: bytes) -> _Rule | None:
    if len(line) >= _LINE_BYTES:
        raise IgnoreFileError(f"line {number} is longer than {_LINE_BYTES - 1} bytes")
    text = line.decode("utf-8", "surrogateescape").removesuffix("\r")
    if text.startswith("#") or not (text := text.strip(_SPACES)):
        return None
    try:
        return _parsed(text)
    except PatternError as exc:
        raise IgnoreFileError(f"line {number}: {text!r} is no pattern: {exc}") from exc


def _parsed(text: str) -> _Rule | None:
    """Read a pattern in two steps, as docker does: a `!` at the beginning after the first step counts, too."""
    mark, pattern = ("!", text[1:].strip(_SPACES)) if text.startswith("!") else ("", text)
    pattern = _cleaned(pattern) if pattern else ""
    pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
    entry = (mark + pattern).strip(_SPACES)
    if not entry:
        return None
    entry = _cleaned(entry)
    if entry == "!":
        raise PatternError("there is nothing behind the !")
    is_exception = entry.startswith("!")
    return _Rule(entry[is_exception:], is_exception, path_pattern(entry[is_exception:]))


def _cleaned(pattern: str) -> str:
    """Return the pattern as Go's `filepath.Clean` does."""
    cleaned = posixpath.normpath(pattern)
    return cleaned[1:] if cleaned.startswith("//") else cleaned  # POSIX lets two slashes mean something else
