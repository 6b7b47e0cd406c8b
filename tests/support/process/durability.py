"""The files of a folder that would survive a power cut, derived from the system calls that wrote them.

The rules are those of fsync(2): a file's bytes are durable after an fsync of the file, a name after an fsync of its
folder, and what an fsync failed for is lost, even if a later one succeeds, unless it is written anew.
"""

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from support.process.nursery import SystemCall

__all__ = ["Durability"]

_DONE = re.compile(r"\) += (?!-1|\?)")
_FAILED = re.compile(r"\) += -1 ")
_OPENED = re.compile(r"\w+\(\d+<([^>]+)>")  # fsync(5</tmp/store>)
_NAMED = re.compile(r'(?:<([^>]+)>, )?"([^"]+)"')  # unlinkat(5</tmp/store>, "name", 0), mkdir("/tmp/store", 0700)


class _State(Enum):
    PENDING = 1
    LOST = 2


class Durability:
    """Follows system calls, as strace writes them with `-y`; what was there before them counts as durable."""

    def __init__(self) -> None:
        self._names: dict[Path, _State] = {}
        self._bytes: dict[Path, _State] = {}

    def follow(self, calls: Iterable[SystemCall]) -> None:
        """Take further calls, in their order."""
        for call in calls:
            if call.name == "fsync" and _FAILED.search(call.line):
                self._synced(_opened(call), succeeded=False)
            elif _DONE.search(call.line):
                self._done(call)

    def holds(self, file: Path) -> bool:
        """Return whether a file would be there, complete, under its name."""
        return file not in self._bytes and not any(path in self._names for path in (file, *file.parents))

    def _done(self, call: SystemCall) -> None:
        if call.name == "fsync":
            self._synced(_opened(call), succeeded=True)
        elif call.name in {"mkdir", "mkdirat"} or (call.name == "openat" and "O_CREAT" in call.line):
            self._names[_named(call)[0]] = _State.PENDING
        elif call.name == "write":
            self._bytes.setdefault(_opened(call), _State.PENDING)
        elif call.name in {"rename", "renameat", "renameat2"}:
            self._renamed(*_named(call))
        elif call.name in {"rmdir", "unlink", "unlinkat"}:
            for known in (self._names, self._bytes):
                known.pop(_named(call)[0], None)

    def _synced(self, synced: Path, *, succeeded: bool) -> None:
        names = {path for path in self._names if path.parent == synced}
        for known, paths in ((self._names, names), (self._bytes, {synced} & self._bytes.keys())):
            for path in paths:
                if not succeeded:
                    known[path] = _State.LOST
                elif known[path] is _State.PENDING:
                    del known[path]

    def _renamed(self, old: Path, new: Path) -> None:
        for known in (self._names, self._bytes):
            for path in [path for path in known if path.is_relative_to(old)]:
                known[new / path.relative_to(old)] = known.pop(path)
        self._names[new] = _State.PENDING


def _opened(call: SystemCall) -> Path:
    match = _OPENED.search(call.line)
    assert match is not None, call
    return Path(match[1])


def _named(call: SystemCall) -> list[Path]:
    return [Path(folder, name) for folder, name in _NAMED.findall(call.line)]
