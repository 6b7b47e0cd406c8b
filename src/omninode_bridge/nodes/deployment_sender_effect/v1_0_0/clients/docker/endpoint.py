"""The address of an engine and how to connect to it, as the `docker` command reads them."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["PODMAN", "Endpoint", "SshAddress", "TcpAddress", "UnixAddress"]

PODMAN = "Podman Engine"

_LOCAL_SOCKET = "/var/run/docker.sock"
# github.com/docker/cli, opts/hosts.go: 2375, and with TLS 2376.
_PORT, _TLS_PORT = 2375, 2376
_PASSWORD = re.compile(r"(://[^/@:]*):.*@")
# Nothing that ssh could read as an option, or a shell as syntax: ssh puts both into a ProxyCommand.
_SSH_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:]+(%[A-Za-z0-9_.-]+)?", re.ASCII)
_SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket of this machine."""

    path: str


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port.

    Attributes:
        host: A name or an address.
        port: TCP.
        tls: Whether the connection uses TLS.
        prefix: Put before each path of the API: empty, or `/PATH`.
    """

    host: str
    port: int
    tls: bool
    prefix: str

    @property
    def netloc(self) -> str:
        """The host and the port as a URL writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A machine on which `docker system dial-stdio` is run.

    Attributes:
        host: A name, an address, or a `Host` of the ssh configuration.
        user: The user to log in as; from the ssh configuration if None.
        port: TCP; from the ssh configuration if None.
        socket_path: The engine's socket there; the default of the `docker` command there if None.
    """

    host: str
    user: str | None = None
    port: int | None = None
    socket_path: str | None = None


@dataclass(slots=True)
class Endpoint:
    """The engine's address.

    Attributes:
        docker_host: `unix://PATH`, `tcp://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT][/PATH]`; the local socket if None.
        tls_verify: Use TLS to a `tcp://` engine and verify it.
        cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem`; `config_path` if None.
        connect_timeout_seconds: For the connection, and for its first response.
        config_path: Folder of the docker command's `config.json`; `~/.docker` if None.
        helper_timeout_seconds: For one credential helper.
        name: `Docker Engine`, or `Podman Engine` once its first response has shown that.
    """

    docker_host: str | None
    tls_verify: bool
    cert_path: Path | None
    connect_timeout_seconds: float
    config_path: Path | None = None
    helper_timeout_seconds: float = 30
    name: str = "Docker Engine"

    @property
    def engine(self) -> str:
        """The kind of engine and its address, for a message; without a password."""
        return self.name + " at " + _PASSWORD.sub(r"\1:***@", self._host)

    @property
    def address(self) -> UnixAddress | TcpAddress | SshAddress:
        """The address in parts.

        Raises:
            ValueError: It cannot be read; the message gives the reason.
        """
        scheme, separator, rest = self._host.partition("://")
        if not separator:  # as the docker command reads it
            scheme, rest = "tcp", self._host
        if scheme == "unix":
            return UnixAddress(rest or _LOCAL_SOCKET)
        if scheme in {"tcp", "http", "https"}:
            return _tcp(rest, tls=scheme == "https" or self.tls_verify)
        if scheme == "ssh":
            return _ssh(rest)
        raise ValueError(f"it begins with {scheme}:// instead of unix://, tcp:// or ssh://")

    @property
    def certificates(self) -> Path | None:
        """The folder of the certificates; None where they are not used."""
        return (self.cert_path or self.config_folder) if self.tls_verify else None

    @property
    def config_folder(self) -> Path | None:
        """The folder of the docker command's own files; None if none is set and the user has no home."""
        if self.config_path is not None:
            return self.config_path
        try:
            return Path("~/.docker").expanduser()
        except RuntimeError:  # a user without a home
            return None

    @property
    def _host(self) -> str:
        return self.docker_host or f"unix://{_LOCAL_SOCKET}"


def _tcp(rest: str, *, tls: bool) -> TcpAddress:
    parts = urlsplit(f"//{rest}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it holds a user or a password, which are not used")
    port = parts.port if parts.port is not None else (_TLS_PORT if tls else _PORT)
    return TcpAddress(parts.hostname or "localhost", port, tls, parts.path.rstrip("/"))


def _ssh(rest: str) -> SshAddress:
    parts = urlsplit(f"//{rest}")
    if parts.password is not None:
        raise ValueError("it holds a password, which is not used: log in with a key")
    if parts.query or parts.fragment:
        raise ValueError("it ends with a query or a fragment")
    host = rest.partition("/")[0].rpartition("@")[2]  # urlsplit's `hostname` is in lower case; a `Host` may not be
    host = host[1 : host.rindex("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if not _SSH_HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name")
    user = None if parts.username is None else unquote(parts.username)
    if user is not None and not _SSH_USER.fullmatch(user):
        raise ValueError(f"{user!r} is not a user name")
    path = unquote(parts.path)
    return SshAddress(host, user, parts.port, path if path.strip("/") else None)
