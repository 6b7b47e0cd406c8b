"""What the receiver bears with, in one place; sizes of packages and waiting times are settings."""

__all__ = [
    "DRAIN_IDLE_SECONDS",
    "DRAIN_MAX_BYTES",
    "DRAIN_MAX_SECONDS",
    "FIELDS_MAX",
    "FIELD_MAX_BYTES",
    "FORM_OVERHEAD_MAX_BYTES",
    "LIST_DEFAULT",
    "LIST_MAX",
    "LOADS_AT_ONCE",
    "PIECE_BYTES",
    "SHUTDOWN_SECONDS",
    "UNPACKED_FACTOR",
    "WRITEBACK_BYTES",
    "WRITERS",
]

FIELDS_MAX = 32
FIELD_MAX_BYTES = 4096
# Each part may have 8 headers of 4,224 bytes (python-multipart's own limits) besides its value and boundary.
FORM_OVERHEAD_MAX_BYTES = (FIELDS_MAX + 2) * (FIELD_MAX_BYTES + 8 * 4224 + 512)

# A file is hashed and written in pieces of this size; an upload holds two of them.
PIECE_BYTES = 1 << 20
# The disk is told to begin writing whenever so much has come; a multiple of the pieces.
WRITEBACK_BYTES = 16 * PIECE_BYTES
# Threads for that, beside one for each load.
WRITERS = 4
LOADS_AT_ONCE = 2

# An image may unpack to this many times the limit on a package.
UNPACKED_FACTOR = 10

# A client that still sends after it was answered is read for this long at most, so that it comes to read the answer.
DRAIN_MAX_BYTES = 1 << 30
DRAIN_MAX_SECONDS = 10.0
DRAIN_IDLE_SECONDS = 2.0

# Uploads under way may go on for this long when the receiver stops.
SHUTDOWN_SECONDS = 5

LIST_DEFAULT = 100
LIST_MAX = 1000
