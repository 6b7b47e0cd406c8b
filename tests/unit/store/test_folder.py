"""Files are opened below a folder, and never outside of it."""

import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.folder import open_file, open_folder, open_subfolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a file, and a folder outside of it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("outside")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "file").write_text("inside")
    return tmp_path / "folder"


def test_a_file_is_opened_by_its_path(folder: Path) -> None:
    """It is open for reading."""
    with open_folder(folder) as root, open_file(root, "sub/file") as file:
        assert b"inside" == file.read()


@pytest.mark.parametrize("path", ["link", "linked/file", "sub/link"])
def test_no_link_is_followed(folder: Path, path: str) -> None:
    """A link in any part of a path is refused, wherever it leads."""
    (folder / "link").symlink_to("../outside/file")
    (folder / "linked").symlink_to("../outside")
    (folder / "sub" / "link").symlink_to("file")
    with open_folder(folder) as root, pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_file(root, path)


def test_a_folder_that_is_a_link_is_not_opened(folder: Path) -> None:
    """The caller has resolved the path, so the link was made after that."""
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"), open_folder(folder.parent / "link"):
        pass


def test_a_fifo_is_refused_without_waiting(folder: Path) -> None:
    """Opening a FIFO would wait for its writer."""
    os.mkfifo(folder / "fifo")
    with open_folder(folder) as root, pytest.raises(OSError, match="not a regular file"):
        open_file(root, "fifo")


def test_an_open_folder_stays_the_same_folder(folder: Path) -> None:
    """This holds even if another one takes its name."""
    with open_folder(folder) as root, open_subfolder(root, "sub") as sub:
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to("../outside")
        with open_file(sub, "file") as file:
            assert b"inside" == file.read()


def test_nothing_stays_open(folder: Path) -> None:
    """No descriptor leaks, neither after a success nor after a failure."""
    os.mkfifo(folder / "fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_folder(folder) as root:
        open_file(root, "sub/file").close()
        for path in ("sub/nothing", "nothing/file", "fifo"):
            with pytest.raises(OSError, match=r"."):
                open_file(root, path)
    assert before == len(list(Path("/proc/self/fd").iterdir()))
