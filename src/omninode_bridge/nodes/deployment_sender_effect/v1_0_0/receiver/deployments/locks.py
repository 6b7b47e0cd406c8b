"""Locks by name, which are there as long as somebody holds one or waits for it."""

import asyncio
from weakref import WeakValueDictionary

__all__ = ["NamedLocks"]


class NamedLocks:
    """One lock for each name; who waits for the same one gets it in the order of asking."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Return the lock of a name."""
        return self._locks.setdefault(name, asyncio.Lock())
