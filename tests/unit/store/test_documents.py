"""Documents are replaced as a whole, and are readable by their user only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import StorageError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.documents import private_file, write_document


@pytest.fixture
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_open_to_all")
def test_a_document_is_for_its_user_only(tmp_path: Path) -> None:
    """This holds for any umask, and if an earlier draft was left that others could read."""
    path = tmp_path / "document.json"
    for _ in range(2):
        write_document(path, b"{}")
        assert (0o600, b"{}", [path]) == (mode(path), path.read_bytes(), list(tmp_path.iterdir()))
        path.with_suffix(".new").write_bytes(b"longer than what is written next")
        path.with_suffix(".new").chmod(0o666)


def test_a_document_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """A failed write raises an error and leaves the old content."""
    path = tmp_path / "document.json"
    write_document(path, b"old")
    path.with_suffix(".new").mkdir()

    with pytest.raises(StorageError):
        write_document(path, b"new")

    assert b"old" == path.read_bytes()


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """A link could lead to another user's file."""
    other = tmp_path / "other"
    other.write_bytes(b"other's")
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        private_file(tmp_path / "link", os.O_CREAT | os.O_TRUNC)
    assert b"other's" == other.read_bytes()


@pytest.mark.usefixtures("_open_to_all")
def test_a_file_that_others_could_read_is_restricted(tmp_path: Path) -> None:
    """Opening a file restricts its permissions."""
    path = tmp_path / "file"
    path.touch(0o666)
    os.close(private_file(path))
    assert 0o600 == mode(path)
