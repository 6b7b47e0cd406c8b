"""The receiver's fixed limits, in one place; sizes of packages and waiting times that users choose are settings."""

from dataclasses import dataclass

__all__ = [
    "CHECKED_FIRST_MAX_BYTES",
    "CHECKS_AT_ONCE",
    "CONNECTIONS_MAX",
    "DIRECT_READ_MIN_BYTES",
    "DIRECT_READ_TAIL_BYTES",
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
    "NONCES_KEPT",
    "NONCES_MAX",
    "PIECE_BYTES",
    "RECONCILE_EVERY_SECONDS",
    "SHUTDOWN_SECONDS",
    "UNPACKED_FACTOR",
    "DrainLimits",
]


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """How much of a request is still read after its response was sent, so that its client comes to read the response.

    Attributes:
        max_bytes: Bytes in all.
        max_seconds: Time in all; None for no limit.
        idle_seconds: Time for the next chunk.
    """

    max_bytes: int
    max_seconds: float | None
    idle_seconds: float


# What a client sends within ten seconds over a line of 1 Gbit/s. One that sends more may not read why it was refused.
DRAIN_AFTER_REJECTION = DrainLimits(max_bytes=1 << 30, max_seconds=10, idle_seconds=1)  # 1 GiB

# Open connections that have no authenticated upload: before, during and after a request. A sender is authenticated
# within moments, and 128 descriptors leave most of the usual 1,024 (`ulimit -n`) to uploads, files and the engine.
CONNECTIONS_MAX = 128

# A request's line and headers; nginx allows half as much by default (large_client_header_buffers), and a signed request
# has less than 1 KiB. One read of the socket brings up to 256 KiB (asyncio's max_size), so at most that much is held.
HEAD_MAX_BYTES = 1 << 16  # 64 KiB

# A connection that ends is still read within these limits, so that its client comes to read the reason
# (RFC 9112 section 9.6): about what the socket buffers of both machines hold, and a round trip to anywhere.
LINGERING_MAX_BYTES = 1 << 23  # 8 MiB
LINGERING_SECONDS = 1

# Twice and more what the form has, 9 fields of up to 255 characters: a later version may add some.
FIELDS_MAX = 32
FIELD_MAX_BYTES = 1 << 12  # 4 KiB
# Each part may have 8 headers of 4,224 bytes (python-multipart's own limits) besides its value and boundary.
FORM_OVERHEAD_MAX_BYTES = (FIELDS_MAX + 2) * (FIELD_MAX_BYTES + 8 * 4224 + 512)

# A file is hashed and written in pieces of this size, and an upload buffers two of them. Larger ones are not faster.
PIECE_BYTES = 1 << 20  # 1 MiB
# From this size on the middle of an upload is read directly from the socket (docs/adr/0009), up to its last bytes:
# those must hold the form's end, a boundary of at most 70 characters.
DIRECT_READ_MIN_BYTES = 2 * PIECE_BYTES  # 2 MiB
DIRECT_READ_TAIL_BYTES = 1 << 16  # 64 KiB

# Packages that are checked, and images that are loaded, at once, each in a thread: decompressing one fills a core,
# and an engine writes to one disk.
CHECKS_AT_ONCE = 2
LOADS_AT_ONCE = 2

# Up to this size a package is checked before it is stored and its sender gets a response (docs/adr/0008): that takes
# a quarter of a second for gzip.
CHECKED_FIRST_MAX_BYTES = 1 << 26  # 64 MiB

# An image may unpack to this many times the limit on a package. Images seldom shrink to less than a quarter; zeros that
# are made to fill a disk shrink to a thousandth with gzip.
UNPACKED_FACTOR = 10

# Nonces that are remembered at least, however old: more than two hours of a request every second; and at most, however
# new, in memory: 27 MB.
NONCES_KEPT = 10_000
NONCES_MAX = 100_000

# How long uploads that have begun may go on when the receiver stops; half of the 10 s that `docker stop` allows.
SHUTDOWN_SECONDS = 5

# How long a request waits for the engine, where its response reports the engine's state.
ENGINE_SECONDS = 5
# How often the records of loaded images and started containers are compared with the engine's: one call a minute.
RECONCILE_EVERY_SECONDS = 60

# Deployments in a list: what a person reads, and about 1 MB of JSON.
LIST_DEFAULT = 100
LIST_MAX = 1_000
