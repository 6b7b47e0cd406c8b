"""Reads the JSON documents of an image archive so that Go's encoding/json cannot read them differently.

Go matches the keys of its structs without regard to case and takes the last of several; so a document in which
that matters is refused.
"""

import json
from typing import Any, TypeVar

from .errors import ArchiveError
from .tar import ArchiveLimits

__all__ = ["Documents", "field"]

T = TypeVar("T")

_BLANKS = b" \t\r\n"  # RFC 8259 section 2
_BEGINS = {b"{", b"["}
_VALUE_MARKS = (b"[", b"{", b",")


class Documents:
    """Keeps the documents of one archive, by name, and parses them on demand.

    Args:
        limits: The limits on one document, on all of them, and on the values in those that are parsed.
    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._contents: dict[str, bytes] = {}
        self._bytes = 0
        self._values = 0

    def accepts(self, size: int) -> bool:
        """Return whether a file of this size may be a document."""
        return 0 < size <= self._limits.document_bytes

    def keep(self, name: str, content: bytes) -> None:
        """Keep a file if it is a document.

        Raises:
            ArchiveError: The documents of the archive are larger together than those of any image.
        """
        if content.lstrip(_BLANKS)[:1] not in _BEGINS:
            return
        self._bytes += len(content)
        if self._bytes > self._limits.documents_bytes:
            raise ArchiveError(f"the archive's documents are larger than {self._limits.documents_bytes} bytes")
        self._contents[name] = content

    def get(self, name: str) -> bytes | None:
        """Return the bytes of a document; None if there is none of that name."""
        return self._contents.get(name)

    def parsed(self, name: str) -> Any:
        """Read a document.

        Raises:
            ArchiveError: It is missing, is no JSON in UTF-8, has an object with one key twice, or the parsed documents
                have more values together than any image has.
        """
        content = self._contents.get(name)
        if content is None:
            raise ArchiveError(
                f"{name!r} is not in the archive, or no document of up to {self._limits.document_bytes} B"
            )
        self._values += sum(content.count(mark) for mark in _VALUE_MARKS)
        if self._values > self._limits.values:
            raise ArchiveError(f"the archive's documents hold more than {self._limits.values} values")
        try:
            return json.loads(content.decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as exc:
            raise ArchiveError(f"{name!r} cannot be read: {exc}") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ArchiveError("an object holds a key twice")
    return found


def field(document: Any, key: str, kind: type[T], name: str) -> T | None:
    """Return one field of an object; None where it is absent or null.

    Raises:
        ArchiveError: `document` is no object, the field is of another kind, or another key is the same but for case.
    """
    if not isinstance(document, dict):
        raise ArchiveError(f"{name!r} is not a JSON object where it should be one")
    folded = key.casefold()
    if any(other != key and other.casefold() == folded for other in document):
        raise ArchiveError(f"{name!r} spells {key!r} in another way")
    value = document.get(key)
    if value is not None and not isinstance(value, kind):
        raise ArchiveError(f"{key!r} in {name!r} is not of type {kind.__name__}")
    return value
