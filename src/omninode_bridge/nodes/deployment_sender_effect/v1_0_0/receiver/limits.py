"""What the receiver bears with, in one place; sizes of packages and waiting times are settings."""

from dataclasses import dataclass

__all__ = [
    "CHECKED_FIRST_MAX_BYTES",
    "CHECKS_AT_ONCE",
    "CONNECTIONS_MAX",
    "DRAIN_AFTER_REJECTION",
    "ENGINE_SECONDS",
    "FIELDS_MAX",
    "FIELD_MAX_BYTES",
    "FORM_OVERHEAD_MAX_BYTES",
    "HEAD_MAX_BYTES",
    "LINGERING_MAX_BYTES",
    "LINGERING_SECONDS",
    "LIST_DEFAULT",
    "LIST_MAX",
    "LOADS_AT_ONCE",
    "LOOK_EVERY_SECONDS",
    "NONCES_KEPT",
    "NONCES_MAX",
    "PIECE_BYTES",
    "SHUTDOWN_SECONDS",
    "STRAIGHT_MIN_BYTES",
    "STRAIGHT_REST_BYTES",
    "UNPACKED_FACTOR",
    "DrainLimits",
]


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """How long a client is read that was answered and still sends, so that it comes to read the answer.

    Attributes:
        max_bytes: In all.
        max_seconds: In all; None for as long as it takes.
        idle_seconds: For the next chunk.
    """

    max_bytes: int
    max_seconds: float | None
    idle_seconds: float


# Connections that are not let in: before, during and after a request; uploads that are let in come on top.
CONNECTIONS_MAX = 128

# Of a request's line and headers, within one read of the socket (256 KiB).
HEAD_MAX_BYTES = 64 << 10

# A connection that ends is read on for so long, so that its client comes to read why.
LINGERING_MAX_BYTES = 8 << 20
LINGERING_SECONDS = 1

FIELDS_MAX = 32
FIELD_MAX_BYTES = 4096
# Each part may have 8 headers of 4,224 bytes (python-multipart's own limits) besides its value and boundary.
FORM_OVERHEAD_MAX_BYTES = (FIELDS_MAX + 2) * (FIELD_MAX_BYTES + 8 * 4224 + 512)

# A file is hashed and written in pieces of this size; an upload holds two of them.
PIECE_BYTES = 1 << 20
# From so much on the middle of an upload is read straight from the socket, up to its last bytes, which hold its end.
STRAIGHT_MIN_BYTES = 2 * PIECE_BYTES
STRAIGHT_REST_BYTES = 64 << 10
# Threads beside one for each upload.
CHECKS_AT_ONCE = 2
LOADS_AT_ONCE = 2

# Up to this size a package is read through before it is kept and answered: a quarter of a second for gzip.
CHECKED_FIRST_MAX_BYTES = 64 << 20

# An image may unpack to this many times the limit on a package.
UNPACKED_FACTOR = 10

DRAIN_AFTER_REJECTION = DrainLimits(max_bytes=1 << 30, max_seconds=10, idle_seconds=1)

# So many nonces are remembered at least, however old they are; and at most, however new.
NONCES_KEPT = 10_000
NONCES_MAX = 100_000

# Uploads under way may go on for this long when the receiver stops.
SHUTDOWN_SECONDS = 5

# How long a request waits for the engine, when its response should say what the engine says.
ENGINE_SECONDS = 5
# How often the records of what was loaded and started are compared with what the engine has.
LOOK_EVERY_SECONDS = 60

LIST_DEFAULT = 100
LIST_MAX = 1000
