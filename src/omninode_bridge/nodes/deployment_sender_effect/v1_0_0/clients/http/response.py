"""One HTTP response as it arrived, before anyone decides what it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import ValidationError

from ...protocol.responses import ErrorBody
from .untrusted_text import printable

__all__ = ["ReceiverResponse"]

_TEXT_MAX_BYTES = 1_200  # 300 characters are shown, of up to four bytes in UTF-8
# The names of proxies in the `Server` header (RFC 9110 section 10.2.4).
_PROXIES = re.compile(
    r"(nginx|openresty|tengine|apache|caddy|traefik|haproxy|envoy|istio|cloudflare|cloudfront|squid|varnish|awselb"
    r"|gws|akamai|lighttpd|microsoft-iis|kong)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReceiverResponse:
    """The response to one request, from a receiver or from something in front of it.

    Attributes:
        headers: Names in lower case.
        body: At most 64 KiB.
        complete: Whether `body` is the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    @property
    def title(self) -> str:
        """The status with its name, such as `404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def error(self) -> ErrorBody | None:
        """The error that a receiver reports; None if the body is not one."""
        try:
            found = ErrorBody.model_validate_json(self.body)
        except ValidationError:
            return None
        return found if found.error_code or found.error_message else None

    @property
    def proxy(self) -> str | None:
        """The proxy that handled the response, by its own name; also if it only forwarded a receiver's response."""
        server = printable(self.headers.get("server", ""))
        return server if _PROXIES.match(server) else None

    @property
    def text(self) -> str:
        """The error message of a receiver, or the beginning of the body unless that is HTML; not yet printable."""
        if self.error is not None:
            return self.error.error_message or ""
        if "html" in self.headers.get("content-type", "").lower():
            return "a web page"
        return self.body[:_TEXT_MAX_BYTES].decode("utf-8", "replace")
