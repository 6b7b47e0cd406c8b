"""What the other side of an HTTP exchange said, and its words made fit for a message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import ValidationError

from ...protocol.responses import ErrorBody

__all__ = ["ReceiverResponse", "after_colon", "printable", "printable_lines"]

_WORDS_MAX_CHARACTERS = 300
# What they call themselves in `Server` (RFC 9110 section 10.2.4).
_PROXIES = re.compile(
    r"(nginx|openresty|tengine|apache|caddy|traefik|haproxy|envoy|istio|cloudflare|cloudfront|squid|varnish|awselb"
    r"|gws|akamai|lighttpd|microsoft-iis|kong)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReceiverResponse:
    """What the other side said.

    Attributes:
        headers: Names in lower case.
        body: At most 64 KB.
        complete: Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    @property
    def title(self) -> str:
        """The status with its name."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def error(self) -> ErrorBody | None:
        """The error that a receiver tells; None for what is no answer of a receiver."""
        try:
            found = ErrorBody.model_validate_json(self.body)
        except ValidationError:
            return None
        return found if found.error_code or found.error_message else None

    @property
    def proxy(self) -> str | None:
        """What is on the way, by the name that it gives itself; also where it only passes a receiver's answer on."""
        server = printable(self.headers.get("server", ""))
        return server if _PROXIES.match(server) else None

    @property
    def words(self) -> str:
        """Its error message, or the start of what is no web page."""
        if self.error is not None:
            return self.error.error_message or ""
        if "html" in self.headers.get("content-type", "").lower():
            return "a web page"
        return self.body[: 4 * _WORDS_MAX_CHARACTERS].decode("utf-8", "replace")


def after_colon(text: str) -> str:
    """Put another machine's words behind a colon, or nothing where there are none."""
    words = printable(text)
    return f": {words}" if words else ""


def printable(text: str) -> str:
    """Make another machine's words fit for a message: printable, on one line, at most 300 characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _WORDS_MAX_CHARACTERS else f"{words[: _WORDS_MAX_CHARACTERS - 3]}..."


def printable_lines(text: str) -> str:
    """Make another machine's lines, such as those of a log, fit for a message: whole, without control characters."""
    lines = ("".join(c for c in line.replace("\t", "    ") if c.isprintable()).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip("\n")
