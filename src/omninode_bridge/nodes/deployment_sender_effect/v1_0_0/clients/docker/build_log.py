"""What an engine tells while it builds: lines for a person, and how it ended."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .redact import LINE_BREAK, Redactor, strip_control_characters

__all__ = ["BuildLog", "error_in"]

_LINE_MAX_CHARACTERS = 4096
_HELD_MAX_CHARACTERS = 65_536
# github.com/moby/moby, builder/dockerfile/builder.go: what a RUN step writes to stderr comes in red.
_STDERR = "\x1b[91m"
_BUILT = "Successfully built "


def error_in(record: Any) -> str | None:
    """Tell the error of a record of an engine's progress stream, if it is one (moby, pkg/jsonmessage)."""
    if not isinstance(record, dict):
        return None
    detail = record.get("errorDetail")
    message = (detail.get("message") if isinstance(detail, dict) else None) or record.get("error")
    return " ".join(strip_control_characters(line) for line in LINE_BREAK.split(str(message))) if message else None


class _Lines:
    """Puts the pieces of a stream together to lines."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[str]:
        *whole, held = LINE_BREAK.split(self._held + text)
        # One character over the limit is enough to know that the line is too long.
        self._held = held[: _HELD_MAX_CHARACTERS + 1]
        yield from whole

    def rest(self) -> str:
        rest, self._held = self._held, ""
        return rest


class BuildLog:
    """Reads the records of a build's stream.

    Args:
        scrub: Applied to each line.
        tell: Called with each line that is not blank.

    Attributes:
        image_id: The image of the stage that was built last.
        error: The engine's own words, once it has failed.
    """

    def __init__(self, scrub: Redactor, tell: Callable[[str], None]) -> None:
        self._scrub = scrub
        self._tell = tell
        self._stdout = _Lines()
        self._stderr = _Lines()
        self._built: str | None = None
        self.image_id: str | None = None
        self.error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the engine said that the last stage's image is the result; each stage before tells its image, too."""
        if self._built is None:
            return False
        return self.image_id is None or self.image_id.removeprefix("sha256:").startswith(self._built)

    def feed(self, record: Any) -> None:
        """Take one record."""
        if not isinstance(record, dict):
            return
        self.error = error_in(record) or self.error
        aux = record.get("aux")
        if isinstance(aux, dict) and isinstance(aux.get("ID"), str):
            self.image_id = aux["ID"]
        stream, status = record.get("stream"), record.get("status")
        if isinstance(stream, str):
            # stdout and stderr of one step come mixed: put together apart, each line stays whole.
            lines = self._stderr if stream.startswith(_STDERR) else self._stdout
            self._pass_on(lines.feed(stream))
        elif isinstance(status, str) and not record.get("progressDetail"):
            self._pass_on([f"{record['id']}: {status}" if record.get("id") else status])

    def finish(self) -> None:
        """Pass on what has no line break at its end."""
        self._pass_on([self._stdout.rest(), self._stderr.rest()])

    def _pass_on(self, lines: Iterable[str]) -> None:
        for line in lines:
            if len(line) > _HELD_MAX_CHARACTERS:
                # Not cut: half a value would be left at the cut, and not be found.
                self._tell(f"(a line of more than {_HELD_MAX_CHARACTERS} characters is left out)")
                continue
            text = strip_control_characters(line).rstrip()
            if text.startswith(_BUILT):
                self._built = text.removeprefix(_BUILT)
            if text:
                self._tell(self._scrub(text)[:_LINE_MAX_CHARACTERS])
