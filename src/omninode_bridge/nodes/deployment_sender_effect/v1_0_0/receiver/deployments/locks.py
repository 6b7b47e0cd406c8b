"""Locks by name, which exist only while a task holds one or waits for it."""

import asyncio
from weakref import WeakValueDictionary

__all__ = ["NamedLocks"]


class NamedLocks:
    """One lock for each name; tasks that wait for the same one get it in the order of their requests."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Return the lock of a name."""
        return self._locks.setdefault(name, asyncio.Lock())
