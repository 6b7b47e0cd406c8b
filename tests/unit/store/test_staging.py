"""An entry is staged, then committed or aborted, also if a process is killed."""

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    InvalidInputError,
    StorageError,
    StorageFullError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.staging import Staging

_OWNER = """
import sys, pathlib
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.staging import Staging
staged = Staging(pathlib.Path(sys.argv[1])).begin("theirs", "image.tar")
staged.file.write(b"half")
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a store's folder, which does not exist yet."""
    return tmp_path / "above" / "store"


@pytest.fixture
def other_process(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Let another process stage the entry `theirs`."""
    command = [sys.executable, "-c", _OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert b"begun\n" == process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def small_files() -> Iterator[None]:
    """Limit the size of files to 1 MiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _fail_fsync(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Let the n-th fsync fail with an error of the disk."""
    calls: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_nothing_before_the_first_begin(folder: Path) -> None:
    """Making a staging area, and sweeping it, makes no folder."""
    assert [] == Staging(folder).sweep()
    assert not folder.parent.exists()


def test_commit(folder: Path) -> None:
    """A committed entry is under its final name, with its documents, and nothing is staged."""
    staging = Staging(folder)
    with staging.begin("one", "image.tar") as staged:
        assert 7 == staged.file.write(b"content")
        assert ["staging/one/image.tar"] == _tree(folder)
        path = staged.commit({"manifest.json": b"{}"})

    assert folder / "packages" / "one" / "image.tar" == path
    assert b"content" == path.read_bytes()
    assert ["packages/one/image.tar", "packages/one/manifest.json"] == _tree(folder)


@pytest.mark.parametrize("piece_bytes", [300_007, 40 << 20])
def test_a_large_file(folder: Path, piece_bytes: int) -> None:
    """The disk begins to write during the staging, and the content is complete."""
    content = os.urandom(40 << 20)
    with Staging(folder).begin("one", "image.tar") as staged:
        for start in range(0, len(content), piece_bytes):
            staged.file.write(content[start : start + piece_bytes])
        path = staged.commit({})

    assert content == path.read_bytes()


@pytest.fixture(params=[0, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set an umask: none, the usual one, and one that removes all permissions."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_for_this_user_only(folder: Path) -> None:
    """With any umask this user may read everything and others nothing: an image may hold secrets."""
    with Staging(folder).begin("one", "image.tar") as staged:
        path = staged.commit({"manifest.json": b"{}"})

    modes = {oct(stat.S_IMODE(one.stat().st_mode)) for one in (folder.parent, folder, *folder.rglob("*"))}
    assert {"0o700", "0o600"} == modes
    assert {path, path.parent / "manifest.json"} == {
        one for one in folder.rglob("*") if stat.S_IMODE(one.stat().st_mode) == 0o600
    }


def test_abort(folder: Path) -> None:
    """An entry that is not committed leaves nothing, and may be aborted twice."""
    with Staging(folder).begin("one", "image.tar") as staged:
        staged.file.write(b"content")
        staged.abort()

    assert [] == list((folder / "staging").iterdir())


def test_abort_on_an_error(folder: Path) -> None:
    """An error in the body aborts the entry, and is raised."""
    with pytest.raises(KeyError), Staging(folder).begin("one", "image.tar"):
        raise KeyError

    assert [] == list((folder / "staging").iterdir())


def test_abort_after_a_loss(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An abort that finds nothing to remove is logged, and hides no other error."""
    staged = Staging(folder).begin("one", "image.tar")
    (folder / "staging" / "one").rename(folder / "elsewhere")

    staged.abort()

    assert "cannot remove" in caplog.text


def test_same_name_at_once(folder: Path) -> None:
    """An entry that is being written cannot be begun again, and can still be committed."""
    with Staging(folder).begin("one", "image.tar") as staged:
        with pytest.raises(StorageError, match="exists already"):
            Staging(folder).begin("one", "image.tar")
        staged.commit({})

    assert ["packages/one/image.tar"] == _tree(folder)


def test_same_name_again(folder: Path) -> None:
    """A committed entry is never replaced."""
    staging = Staging(folder)
    with staging.begin("one", "image.tar") as staged:
        staged.file.write(b"first")
        path = staged.commit({})
    with (
        pytest.raises(StorageError, match="exists already"),
        staging.begin("one", "image.tar") as staged,
    ):
        staged.commit({})

    assert b"first" == path.read_bytes()
    assert ["packages/one/image.tar"] == _tree(folder)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "a\n", "a" * 129, "é"])
def test_names(folder: Path, name: str) -> None:
    """A name that could be a path, or hidden, is refused, for entries and for files."""
    for entry_id, filename in ((name, "image.tar"), ("one", name)):
        with pytest.raises(InvalidInputError):
            Staging(folder).begin(entry_id, filename)
    assert not folder.exists()


def test_folder_is_a_file(folder: Path) -> None:
    """A file in the place of the store's folder is an error."""
    folder.parent.mkdir()
    folder.touch()
    with pytest.raises(StorageError):
        Staging(folder).begin("one", "image.tar")


@pytest.mark.usefixtures("small_files")
def test_file_too_large(folder: Path) -> None:
    """A write that the disk accepts only in part fails, names the reason and leaves nothing."""
    with (
        Staging(folder).begin("one", "image.tar") as staged,
        pytest.raises(StorageFullError, match="file-size limit"),
    ):
        staged.file.write(bytes(3 << 20))

    assert [] == list((folder / "staging").iterdir())


def test_begin_fails_half_way(tmp_path: Path) -> None:
    """If the file of an entry cannot be made, neither its folder nor its lock is left."""
    folder = tmp_path
    while len(str(folder)) < 4000:
        folder /= "n" * 60
    folder /= "n" * (4090 - len(str(folder / "staging" / "one")))
    before = os.dup(0)
    os.close(before)

    with pytest.raises(StorageError, match="File name too long"):
        Staging(folder).begin("one", "image.tar")

    after = os.dup(0)
    os.close(after)
    assert [] == list((folder / "staging").iterdir())
    assert before == after


@pytest.mark.parametrize("nth", range(1, 7))
def test_fsync_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """If any fsync fails, the commit fails, and no part of the entry is visible."""
    staging = Staging(folder)
    staging.begin("before", "image.tar").abort()
    staged = staging.begin("one", "image.tar")
    staged.file.write(b"content")
    _fail_fsync(monkeypatch, nth)

    with staged, pytest.raises(StorageError, match="reports an error"):
        staged.commit({"manifest.json": b"{}"})

    assert [] == _tree(folder)


def test_no_second_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could not be made durable is never synced again."""
    with Staging(folder).begin("one", "image.tar") as staged:
        _fail_fsync(monkeypatch, 1)
        with pytest.raises(StorageError):
            staged.commit({})
        with pytest.raises(ValueError, match="closed"):
            staged.commit({})

    assert [] == _tree(folder)


@pytest.mark.parametrize("does", ["commit", "abort"])
def test_a_failing_close_of_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, does: str
) -> None:
    """The commit or the abort is valid nevertheless; the failure is logged."""
    real = os.close
    staged = Staging(folder).begin("one", "image.tar")

    def close(descriptor: int) -> None:
        real(descriptor)
        if descriptor == staged._lock:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", close)
    if does == "commit":
        staged.commit({})
    staged.abort()

    assert (["packages/one/image.tar"] if does == "commit" else []) == _tree(folder)
    assert [True] == ["closing the lock" in record.getMessage() for record in caplog.records]


def test_sweep_keeps_entries_of_this_process(folder: Path) -> None:
    """An entry of the same process stays."""
    with Staging(folder).begin("mine", "image.tar") as staged:
        assert [] == Staging(folder).sweep()
        staged.commit({})

    assert ["packages/mine/image.tar"] == _tree(folder)


@pytest.mark.usefixtures("other_process")
def test_sweep_keeps_entries_of_other_processes(folder: Path) -> None:
    """An entry of another process that runs stays."""
    assert [] == Staging(folder).sweep()
    assert ["staging/theirs/image.tar"] == _tree(folder)


def test_first_begin_removes_entries_of_killed_processes(
    folder: Path, other_process: "subprocess.Popen[bytes]"
) -> None:
    """An entry of a killed process is removed by the first begin of the next one."""
    other_process.kill()
    other_process.wait()

    with Staging(folder).begin("mine", "image.tar"):
        assert ["staging/mine/image.tar"] == _tree(folder)


def test_sweep_of_what_it_cannot_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A stray file is logged and left, and does no harm."""
    Staging(folder).begin("before", "image.tar").abort()
    (folder / "staging" / "stray").touch()

    with Staging(folder).begin("mine", "image.tar") as staged:
        staged.commit({})

    assert "stray, which was abandoned" in caplog.text
    assert ["packages/mine/image.tar", "staging/stray"] == _tree(folder)


def test_remove(folder: Path) -> None:
    """A removed entry is removed completely."""
    staging = Staging(folder)
    with staging.begin("one", "image.tar") as staged:
        staged.commit({"manifest.json": b"{}"})
    staging.remove("one")

    assert [] == _tree(folder)
    assert [] == list((folder / "staging").iterdir())


def test_remove_what_is_not_there(folder: Path) -> None:
    """A missing entry cannot be removed."""
    with pytest.raises(StorageError, match="No such file"):
        Staging(folder).remove("one")
