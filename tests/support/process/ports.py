"""Ports for servers that are told where to listen."""

import random
import socket
from contextlib import suppress

__all__ = ["free_port"]

# Below those that the kernel gives to connections and to servers on port 0 (ip(7), ip_local_port_range: 32768 and up).
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that is free, and that nothing takes by chance before the test does."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
