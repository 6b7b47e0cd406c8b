"""The JSON documents of an image archive, read so that Go's encoding/json cannot understand them differently.

Go matches the keys of its structs without regard to case and takes the last of several; so a document in which
that matters is refused.
"""

import json
from typing import Any, TypeVar

from .errors import ArchiveError

__all__ = ["field", "parsed"]

T = TypeVar("T")

# Python's parser lets no other thread run. So many values take it about 10 ms; a real configuration has some hundreds.
_VALUES_MAX = 50_000


def parsed(data: bytes, name: str) -> Any:
    """Read a document.

    Raises:
        ArchiveError: It is no JSON in UTF-8, an object in it holds a key twice, or it holds more values than any image.
    """
    if sum(data.count(mark) for mark in (b"[", b"{", b",")) > _VALUES_MAX:
        raise ArchiveError(f"{name!r} holds more than {_VALUES_MAX} values")
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise ArchiveError(f"{name!r} cannot be read: {exc}") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ArchiveError("an object holds a key twice")
    return found


def field(document: Any, key: str, kind: type[T], name: str) -> T | None:
    """Answer one field of an object; None where it is absent or null.

    Raises:
        ArchiveError: `document` is no object, the field is of another kind, or another key is the same but for case.
    """
    if not isinstance(document, dict):
        raise ArchiveError(f"{name!r} does not hold the object it should")
    folded = key.casefold()
    if any(other != key and other.casefold() == folded for other in document):
        raise ArchiveError(f"{name!r} spells {key!r} in another way")
    value = document.get(key)
    if value is not None and not isinstance(value, kind):
        raise ArchiveError(f"{key!r} in {name!r} is not what it should be")
    return value
