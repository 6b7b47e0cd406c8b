"""Folders are durable, and accessible to their user only."""

import os
import stat
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.folders import grant, make_folder


def mode(path: Path) -> str:
    """Return the permissions of a file or folder."""
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_an_existing_folder_is_not_changed(tmp_path: Path) -> None:
    """Its user may have given others access to it."""
    folder = tmp_path / "above" / "store"
    make_folder(folder)
    folder.chmod(0o750)

    make_folder(folder)

    assert ["0o700", "0o750"] == [mode(folder.parent), mode(folder)]


@pytest.mark.parametrize(("before", "after"), [(0o000, "0o600"), (0o644, "0o644")])
def test_only_what_is_missing_is_granted(tmp_path: Path, before: int, after: str) -> None:
    """A file system without modes shows all permissions, and refuses to remove any."""
    path = tmp_path / "file"
    path.touch()
    path.chmod(before)

    grant(path, 0o600)

    assert after == mode(path)


def test_a_descriptor_is_granted_too(tmp_path: Path) -> None:
    """A file that is being made has a descriptor first."""
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0)
    grant(descriptor, 0o600)
    os.close(descriptor)

    assert "0o600" == mode(path)
