"""Nonces: remembered whatever the clock does, and whatever happens to their file."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import StorageBusyError, StorageError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    Credentials,
    new_nonce,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.nonces import NonceFile, NonceMemory
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.responses import error_response

_NOW = 1_800_000_000
_HOUR = 3600

Nonces = NonceFile | NonceMemory
Make = Callable[..., Nonces]


def signed(time: int = _NOW, key_id: str = "k1") -> Credentials:
    """Return the credentials of a request that was signed at this time."""
    return Credentials(key_id, time, new_nonce(), 0, "0" * 64)


@pytest.fixture(params=["file", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make one of either kind; a file is closed after the test."""
    with ExitStack() as opened:
        if request.param == "memory":
            yield NonceMemory
        else:
            yield lambda kept=100: opened.enter_context(closing(NonceFile(tmp_path / "nonces.sqlite3", kept)))


def refused(nonces: Nonces, credentials: Credentials, now: int = _NOW) -> str:
    """Check that a request is refused for now; return the reason."""
    with pytest.raises(RefusedError) as caught:
        nonces.add(credentials, now=now)
    assert (503, {"Retry-After": "1"}) == (caught.value.status, caught.value.headers)
    return caught.value.message


def test_a_nonce_is_new_once(make: Make) -> None:
    """For each key."""
    nonces, one = make(), signed()
    other = Credentials("k2", one.time, one.nonce, 0, one.signature)
    assert [True, False, True, False] == [nonces.add(each, now=_NOW) for each in (one, one, other, other)]


@pytest.mark.parametrize("jump_seconds", [ALLOWED_CLOCK_SKEW_SECONDS + 1, _HOUR, 100 * 365 * 24 * _HOUR])
def test_a_clock_that_jumps_ahead_and_back_forgets_nothing(make: Make, jump_seconds: int) -> None:
    """Nonces that arrive while the clock is far ahead push out none of the earlier ones."""
    nonces, before = make(), signed()
    assert nonces.add(before, now=_NOW)
    ahead = _NOW + jump_seconds
    assert all(nonces.add(signed(ahead), now=ahead) for _ in range(50))
    assert not nonces.add(before, now=_NOW)
    assert nonces.add(signed(), now=_NOW)


def test_a_forgotten_nonce_is_not_accepted_again(make: Make) -> None:
    """However many came while the clock was ahead; requests that were signed later are accepted."""
    nonces = make(kept=5)
    many = [signed(_NOW + number) for number in range(20)]
    ahead = _NOW + _HOUR
    assert all(nonces.add(one, now=_NOW) for one in many)
    assert all(nonces.add(signed(ahead), now=ahead) for _ in range(20))
    for one in many:
        assert "may have been seen before" in refused(nonces, one)
    assert nonces.add(signed(_NOW + 20), now=_NOW + 20)


def test_a_fresh_nonce_is_never_forgotten(make: Make) -> None:
    """However many there are."""
    nonces = make(kept=5)
    many = [signed() for _ in range(50)]
    assert [True] * 50 == [nonces.add(one, now=_NOW) for one in many]
    assert [False] * 50 == [nonces.add(one, now=_NOW + ALLOWED_CLOCK_SKEW_SECONDS) for one in many]


def test_the_number_in_memory_is_limited() -> None:
    """503 for more within the few minutes."""
    nonces = NonceMemory(kept=5, most=10)
    assert all(nonces.add(signed(), now=_NOW) for _ in range(10))
    assert refused(nonces, signed()).startswith("10 requests were signed within the last minutes")
    later = _NOW + ALLOWED_CLOCK_SKEW_SECONDS + 1
    assert nonces.add(signed(later), now=later)


# The file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file."""
    return tmp_path / "nonces.sqlite3"


def opened(path: Path, kept: int = 100, now: int = _NOW) -> NonceFile:
    """Open the file at this time."""
    return NonceFile(path, kept, clock=lambda: now)


def test_a_restart_forgets_nothing(path: Path) -> None:
    """Neither the nonces nor the latest forgotten time."""
    old = [signed(_NOW + number) for number in range(20)]
    later = _NOW + _HOUR
    with closing(opened(path, kept=5)) as nonces:
        assert all(nonces.add(one, now=_NOW) for one in old)
        last = signed(later)
        assert all(nonces.add(one, now=later) for one in (*(signed(later) for _ in range(20)), last))
    with closing(opened(path, kept=5)) as nonces:
        assert not nonces.add(last, now=later)
        assert "may have been seen before" in refused(nonces, old[0])


def test_only_its_user_may_read_the_file(path: Path) -> None:
    """Also SQLite's files beside it, whatever the umask, also if others could read it before."""
    before = os.umask(0)
    try:
        for _ in range(2):
            with closing(opened(path)) as nonces:
                nonces.add(signed(), now=_NOW)
                modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
            assert dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm"), 0o600) == modes
            path.chmod(0o666)
    finally:
        os.umask(before)


def emptied(path: Path) -> None:
    """Empty it."""
    path.write_bytes(b"")


def cut_inside_a_page(path: Path) -> None:
    """Cut it inside a page."""
    path.write_bytes(path.read_bytes()[:-1000])


def overwritten(path: Path) -> None:
    """Put something else there."""
    path.write_text("something else entirely, long enough for a header" * 20)


def flipped(path: Path) -> None:
    """Damage what its tables are."""
    content = bytearray(path.read_bytes())
    content[100:108] = bytes(8)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [emptied, cut_inside_a_page, overwritten, flipped])
def test_a_damaged_file_is_kept_aside_and_reported(
    path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A new file is made, which refuses requests that were signed before; the log says what to do."""
    seen = signed(_NOW - 1)
    with closing(opened(path)) as nonces:
        assert all(nonces.add(one, now=_NOW) for one in (seen, *(signed() for _ in range(99))))
    damage(path)
    content = path.read_bytes()

    with closing(opened(path)) as nonces:
        assert "may have been seen before" in refused(nonces, seen)
        assert nonces.add(signed(_NOW + 1), now=_NOW + 1)
    (aside,) = path.parent.glob("nonces.sqlite3.damaged-*")
    assert content == aside.read_bytes()
    assert f"it is kept as {aside.name}, and a new file was made" in caplog.text
    assert "dmesg" in caplog.text
    with closing(opened(path)) as nonces:
        assert nonces.add(signed(_NOW + 1), now=_NOW + 1)


def test_damage_is_also_handled_when_it_shows_later(path: Path) -> None:
    """As at the start; a second damaged file does not take the place of the first."""
    for number in range(1, 4):
        with closing(opened(path)) as nonces:
            nonces._db.execute("DROP TABLE nonces")
            assert "may have been seen before" in refused(nonces, signed(_NOW))
            assert nonces.add(signed(_NOW + 1), now=_NOW + 1)
        assert number == len(list(path.parent.glob("nonces.sqlite3.damaged-*")))


def test_a_file_that_cannot_be_opened_is_not_taken_for_damaged(path: Path) -> None:
    """It stays where it is."""
    path.mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        opened(path)
    assert [path] == list(path.parent.iterdir())


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """It could lead to another user's file."""
    (tmp_path / "other").touch()
    path.symlink_to(tmp_path / "other")
    with pytest.raises(StorageError, match=r"nonces\.sqlite3"):
        opened(path)


def test_a_file_that_is_locked_may_be_free_in_a_moment(path: Path) -> None:
    """The response is 503, without the file's name."""
    with closing(opened(path)) as nonces, closing(sqlite3.connect(path, isolation_level=None)) as other:
        nonces._db.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusyError) as caught:
            nonces.add(signed(), now=_NOW)
        response = error_response(caught.value)
        assert (503, "1", False) == (
            response.status_code,
            response.headers["Retry-After"],
            b"nonces" in bytes(response.body),
        )
        other.execute("ROLLBACK")
        assert nonces.add(signed(), now=_NOW)
