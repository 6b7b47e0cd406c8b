"""Where the Docker Engine is and how to speak to it, as the `docker` command reads it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Endpoint"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The engine's address.

    Attributes:
        docker_host: `unix://PATH`, `tcp://HOST:PORT` or `ssh://[USER@]HOST[:PORT]`; the local socket if None.
        tls_verify: Speak TLS to a `tcp://` engine and verify it.
        cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem`; `~/.docker` if None.
        connect_timeout_seconds: For the connection, and for its first answer.
    """

    docker_host: str | None
    tls_verify: bool
    cert_path: Path | None
    connect_timeout_seconds: float

    @property
    def address(self) -> str:
        """The address for a message."""
        return self.docker_host or "unix:///var/run/docker.sock"

    @property
    def certificates(self) -> Path | None:
        """The folder of the certificates, if TLS is to be spoken."""
        if not self.tls_verify or not self.address.startswith(("tcp://", "http://", "https://")):
            return None
        return self.cert_path or Path("~/.docker").expanduser()
