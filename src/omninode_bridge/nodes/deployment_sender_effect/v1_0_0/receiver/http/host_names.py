"""The receiver's host names, and what a sender may have signed where a proxy changes the Host or the path."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from ...protocol.form import DEPLOY_PATH
from ...protocol.hosts import DEFAULT_PORTS, Host, parse_host
from ...settings import ReceiverSettings

__all__ = ["HostNames", "Location"]


class Location(NamedTuple):
    """Where a request is sent, as it is signed.

    Attributes:
        host: In its one spelling (protocol/hosts.py).
        target: The path, percent-encoded, with the query if there is one.
    """

    host: str
    target: str


class HostNames:
    """The host names that the receiver accepts.

    Args:
        host_names: Each with or without a port; one without a port is accepted with every port.
        public_url: The URL that senders use, if there is a proxy in front of the receiver.
        scheme: The receiver's own, `http` or `https`.

    Attributes:
        public: The host of `public_url`, if there is one.
        prefix: The path of `public_url` before the receiver's own paths, percent-encoded; may be empty.
    """

    def __init__(self, host_names: Iterable[str] = (), public_url: str | None = None, scheme: str = "http") -> None:
        self._own = frozenset(parse_host(name) for name in host_names)
        self._scheme = scheme
        parts = urlsplit(public_url or "")
        self.public = parse_host(parts.netloc, parts.scheme) if public_url else None
        self.prefix = parts.path.rstrip("/").removesuffix(DEPLOY_PATH).rstrip("/")

    @classmethod
    def of(cls, settings: ReceiverSettings) -> "HostNames":
        """Return those of the settings."""
        return cls(settings.host_names, settings.public_url, "http" if settings.tls_cert is None else "https")

    def parse(self, host: str) -> Host:
        """Parse a `Host` header.

        Raises:
            ValueError: It is not a host.
        """
        return parse_host(host, self._scheme)

    def is_own(self, host: Host) -> bool:
        """Whether this is one of the configured host names, or the public URL's host."""
        with_port = Host(host.name, host.port or DEFAULT_PORTS[self._scheme])
        return host == self.public or not self._own.isdisjoint({Host(host.name), with_port})

    @property
    def accepts_all(self) -> bool:
        """Whether no host name is configured, so that every one is accepted."""
        return not self._own and self.public is None

    def __str__(self) -> str:
        own = {str(name) for name in self._own} | ({str(self.public)} if self.public else set())
        return ", ".join(sorted(own))

    def locations(self, host: Host | None, target: str) -> list[Location]:
        """Return where the sender of a request may have sent it, the likeliest first.

        Args:
            host: As it arrived; None if the request has none.
            target: As it arrived, without the public prefix.
        """
        arrived = Location("" if host is None else str(host), target)
        if self.public is None:
            return [arrived]
        public = Location(str(self.public), self.prefix + target)
        return [public, arrived] if host is not None and self.is_own(host) else [public]
