"""An earlier release of this project, built from the repository's history and installed beside this one."""

import io
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

__all__ = ["installed_release"]

_ROOT = Path(__file__).parents[3]


def installed_release(commit: str, folder: Path) -> str:
    """Build the wheel of a commit and install it in an environment of its own; return that environment's interpreter.

    Its dependencies are those that are installed here, so nothing is downloaded. Skips the test where the history is
    missing: in a source distribution, or in a shallow clone.

    Args:
        commit: The commit's id.
        folder: An empty folder for the source, the wheel and the environment.
    """
    source = _source_of(commit)
    if source is None:
        pytest.skip(f"the history of this tree has no commit {commit}: build it in a full clone")
    with tarfile.open(fileobj=io.BytesIO(source)) as archive:
        archive.extractall(folder / "source", filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True)
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archived:
        archived.extractall(packages)
    # Folders that a .pth file names come after the environment's own, and their own .pth files are not read, so an
    # editable installation of this tree does not hide the release.
    here = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (packages / "dependencies.pth").write_text("\n".join(here or site.getsitepackages()))
    return str(environment / "bin" / "python")


def _source_of(commit: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "archive", commit], cwd=_ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
