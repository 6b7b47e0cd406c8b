"""The version of the protocol between sender and receiver (docs/receiver-protocol.md)."""

__all__ = ["PROTOCOL_HEADER", "PROTOCOL_VERSION", "SUPPORTED_VERSIONS"]

PROTOCOL_HEADER = "Deployment-Protocol"
"""Names the version in every request and every response; without it, a message is of version 1."""

PROTOCOL_VERSION = 2
SUPPORTED_VERSIONS = (1, 2)
