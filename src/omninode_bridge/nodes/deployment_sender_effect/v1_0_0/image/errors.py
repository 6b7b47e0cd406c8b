"""What is wrong with the bytes themselves; whoever fed them in knows which code that is."""

__all__ = ["ArchiveCutShortError", "ArchiveError", "CompressionError"]


class ArchiveError(ValueError):
    """The bytes are not an archive of exactly one whole image, or not one that every engine reads the same way."""


class ArchiveCutShortError(ArchiveError):
    """The bytes end before the archive does."""


class CompressionError(ValueError):
    """The bytes are not what their compression asks for: damaged, cut short, or followed by something else."""
