"""A certificate authority for one test, and the certificates that it signs."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.tls import server_context

__all__ = ["Authority", "Certificate"]


@dataclass(frozen=True)
class Certificate:
    """A certificate with its chain, and its private key, as PEM files."""

    cert: Path
    key: Path

    async def server_context(self, client_ca: Path | None = None) -> ssl.SSLContext:
        """The receiver's side of TLS with this certificate, as our receiver has it."""
        return await asyncio.to_thread(server_context, self.cert, self.key, client_ca)


class Authority:
    """Signs certificates.

    Args:
        folder: Where the files go; made if it is not there.

    Attributes:
        ca_file: The authority's own certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *identities: str, name: str = "server", **options: Any) -> Certificate:
        """Hand out a certificate.

        Args:
            identities: Host names and addresses that it is for; 127.0.0.1 if none is given.
            name: Of the files.
            options: Of trustme, such as `not_after`.
        """
        issued = self._ca.issue_cert(*identities or ("127.0.0.1",), **options)
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        made.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(made.key)
        return made
