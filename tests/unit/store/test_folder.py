"""Files below a folder, and never outside."""

import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.folder import open_file, open_folder, open_subfolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, beside one that is outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("outside")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "file").write_text("inside")
    return tmp_path / "folder"


def test_a_file_is_opened_by_its_path(folder: Path) -> None:
    """For reading."""
    with open_folder(folder) as root, open_file(root, "sub/file") as file:
        assert b"inside" == file.read()


@pytest.mark.parametrize("path", ["link", "linked/file", "sub/link"])
def test_no_link_is_followed(folder: Path, path: str) -> None:
    """In no part of a path, wherever it leads."""
    (folder / "link").symlink_to("../outside/file")
    (folder / "linked").symlink_to("../outside")
    (folder / "sub" / "link").symlink_to("file")
    with open_folder(folder) as root, pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_file(root, path)


def test_a_folder_that_is_a_link_is_not_opened(folder: Path) -> None:
    """Its caller has resolved it: somebody has put the link there since."""
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"), open_folder(folder.parent / "link"):
        pass


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    """A FIFO would hold its reader for ever."""
    os.mkfifo(folder / "fifo")
    with open_folder(folder) as root, pytest.raises(OSError, match="not a regular file"):
        open_file(root, "fifo")


def test_an_open_folder_stays_the_same_one(folder: Path) -> None:
    """Whatever takes its name meanwhile."""
    with open_folder(folder) as root, open_subfolder(root, "sub") as sub:
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to("../outside")
        with open_file(sub, "file") as file:
            assert b"inside" == file.read()


def test_nothing_stays_open(folder: Path) -> None:
    """Neither when it goes well nor when it does not."""
    os.mkfifo(folder / "fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_folder(folder) as root:
        open_file(root, "sub/file").close()
        for path in ("sub/nothing", "nothing/file", "fifo"):
            with pytest.raises(OSError, match=r"."):
                open_file(root, path)
    assert before == len(list(Path("/proc/self/fd").iterdir()))
