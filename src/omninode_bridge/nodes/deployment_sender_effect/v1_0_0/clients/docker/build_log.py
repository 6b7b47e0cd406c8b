"""Reads the progress stream of a build: log lines for a person, the image, and the error."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .redact import LINE_BREAK, Redactor, strip_control_characters

__all__ = ["BuildLog", "record_error"]

# Of a line that is reported; terminals and log collectors cut longer ones anyway.
_LINE_MAX_CHARACTERS = 4096
# Of a line that is not complete yet, the most that is kept in memory: far more than the longest real line.
_PENDING_MAX_CHARACTERS = 65_536
# github.com/moby/moby, builder/dockerfile/builder.go: a RUN step's stderr comes in red (ECMA-48, SGR 91).
_STDERR = "\x1b[91m"
_BUILT = "Successfully built "


def record_error(record: Any) -> str | None:
    """Return the error of a record of an engine's progress stream, None if it has none (moby, pkg/jsonmessage)."""
    if not isinstance(record, dict):
        return None
    detail = record.get("errorDetail")
    message = (detail.get("message") if isinstance(detail, dict) else None) or record.get("error")
    return " ".join(strip_control_characters(line) for line in LINE_BREAK.split(str(message))) if message else None


class _LineSplitter:
    """Joins the pieces of a stream and splits them into lines."""

    def __init__(self) -> None:
        self._pending = ""

    def split(self, text: str) -> Iterator[str]:
        *complete, pending = LINE_BREAK.split(self._pending + text)
        # One character over the limit is enough to know that the line is too long.
        self._pending = pending[: _PENDING_MAX_CHARACTERS + 1]
        yield from complete

    def take_pending(self) -> str:
        pending, self._pending = self._pending, ""
        return pending


class BuildLog:
    """Collects the records of a build's stream.

    Args:
        redact: Applied to each line.
        on_line: Called with each line that is not blank.

    Attributes:
        image_id: The image of the stage that was built last.
        error: The engine's own message, once the build has failed.
    """

    def __init__(self, redact: Redactor, on_line: Callable[[str], None]) -> None:
        self._redact = redact
        self._on_line = on_line
        self._stdout = _LineSplitter()
        self._stderr = _LineSplitter()
        self._built: str | None = None
        self.image_id: str | None = None
        self.error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the engine reported the last stage's image as the result; it reports each earlier stage's, too."""
        if self._built is None:
            return False
        return self.image_id is None or self.image_id.removeprefix("sha256:").startswith(self._built)

    def add(self, record: Any) -> None:
        """Add one record."""
        if not isinstance(record, dict):
            return
        self.error = record_error(record) or self.error
        aux = record.get("aux")
        if isinstance(aux, dict) and isinstance(aux.get("ID"), str):
            self.image_id = aux["ID"]
        stream, status = record.get("stream"), record.get("status")
        if isinstance(stream, str):
            # Pieces of a step's stdout and stderr alternate: each line stays complete if they are joined separately.
            splitter = self._stderr if stream.startswith(_STDERR) else self._stdout
            self._report(splitter.split(stream))
        elif isinstance(status, str) and not record.get("progressDetail"):
            self._report([f"{record['id']}: {status}" if record.get("id") else status])

    def flush(self) -> None:
        """Report the last lines, which have no line break at their end."""
        self._report([self._stdout.take_pending(), self._stderr.take_pending()])

    def _report(self, lines: Iterable[str]) -> None:
        for line in lines:
            if len(line) > _PENDING_MAX_CHARACTERS:
                # Not cut: half of a secret value would be left at the cut, where no redaction finds it.
                self._on_line(f"(a line of more than {_PENDING_MAX_CHARACTERS} characters is left out)")
                continue
            text = strip_control_characters(line).rstrip()
            if text.startswith(_BUILT):
                self._built = text.removeprefix(_BUILT)
            if text:
                self._on_line(self._redact(text)[:_LINE_MAX_CHARACTERS])
