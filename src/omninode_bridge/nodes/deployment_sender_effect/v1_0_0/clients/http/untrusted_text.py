"""Makes text from another machine safe to show in a message or a terminal."""

__all__ = ["after_colon", "printable", "printable_lines"]

_MAX_CHARACTERS = 300  # two or three lines of a terminal
_ELLIPSIS = "..."


def after_colon(text: str) -> str:
    """Return `: text` with the text made printable, or nothing if there is none."""
    words = printable(text)
    return f": {words}" if words else ""


def printable(text: str) -> str:
    """Return the text on one line, without control characters, cut to 300 characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(words) <= _MAX_CHARACTERS:
        return words
    return words[: _MAX_CHARACTERS - len(_ELLIPSIS)] + _ELLIPSIS


def printable_lines(text: str) -> str:
    """Return the lines of the text, such as those of a log, whole and without control characters."""
    lines = ("".join(c for c in line.replace("\t", "    ") if c.isprintable()).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip("\n")
