"""By which names the receiver goes, and what a sender sees of a request that a proxy may have changed on the way."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from ...protocol.form import DEPLOY_PATH
from ...protocol.hosts import DEFAULT_PORTS, Host, parse_host
from ...settings import ReceiverSettings

__all__ = ["HostNames", "Place"]


class Place(NamedTuple):
    """Where a request goes, as it is signed: the host in its one spelling, and the path with its query."""

    host: str
    target: str


class HostNames:
    """The receiver's own names.

    Args:
        host_names: Each with or without a port; one without is good for every port.
        public_url: Where senders find it, if a proxy is before it.
        scheme: What it speaks itself, `http` or `https`.

    Attributes:
        public: The host of `public_url`, if there is one.
        prefix: The path of `public_url` before the receiver's own paths, percent-encoded; it may be empty.
    """

    def __init__(self, host_names: Iterable[str] = (), public_url: str | None = None, scheme: str = "http") -> None:
        self._own = frozenset(parse_host(name) for name in host_names)
        self._scheme = scheme
        parts = urlsplit(public_url or "")
        self.public = parse_host(parts.netloc, parts.scheme) if public_url else None
        self.prefix = parts.path.rstrip("/").removesuffix(DEPLOY_PATH).rstrip("/")

    @classmethod
    def of(cls, settings: ReceiverSettings) -> "HostNames":
        """Read them from the settings."""
        return cls(settings.host_names, settings.public_url, "http" if settings.tls_cert is None else "https")

    def parse(self, host: str) -> Host:
        """Read a `Host` header.

        Raises:
            ValueError: It is no host.
        """
        return parse_host(host, self._scheme)

    def is_own(self, host: Host) -> bool:
        """Tell whether it was told that it has this name."""
        with_port = Host(host.name, host.port or DEFAULT_PORTS[self._scheme])
        return host == self.public or not self._own.isdisjoint({Host(host.name), with_port})

    def is_anybody(self) -> bool:
        """Tell whether it was told no name at all."""
        return not self._own and self.public is None

    def places(self, host: Host | None, target: str) -> list[Place]:
        """Answer what the sender of a request may have signed, the likeliest first.

        Args:
            host: As it arrived; None if it has none.
            target: As it arrived, without the public prefix.
        """
        arrived = Place("" if host is None else str(host), target)
        if self.public is None:
            return [arrived]
        public = Place(str(self.public), self.prefix + target)
        return [public, arrived] if host is not None and self.is_own(host) else [public]
