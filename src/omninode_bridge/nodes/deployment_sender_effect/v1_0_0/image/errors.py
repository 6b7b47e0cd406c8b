"""Errors in the bytes of an archive or a stream; the caller knows what they mean for its operation."""

__all__ = ["ArchiveCutShortError", "ArchiveError", "CompressionError"]


class ArchiveError(ValueError):
    """The bytes are not an archive of exactly one whole image, or not one that every engine reads the same way."""


class ArchiveCutShortError(ArchiveError):
    """The bytes end before the archive does."""


class CompressionError(ValueError):
    """A compressed stream is damaged, cut short, or followed by something else."""
