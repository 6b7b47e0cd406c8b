"""The build context and the Dockerfile are checked before a build."""

import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.build_context import check_context


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Make a build context with a Dockerfile, and one in a folder of its own."""
    folder = tmp_path / "context"
    (folder / "docker").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "docker" / "Dockerfile.prod").write_text("FROM scratch\n")
    (tmp_path / "Dockerfile").write_text("FROM secret\n")
    return folder


def _refusal(build_context: object, dockerfile_path: str = "Dockerfile") -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_context(str(build_context), dockerfile_path)
    return caught.value.message


@pytest.mark.parametrize("path", ["Dockerfile", "./Dockerfile", "docker/../Dockerfile"])
def test_relative(context: Path, path: str) -> None:
    """A Dockerfile inside the context passes, and its path relative to the context is returned."""
    assert (context, "Dockerfile") == check_context(str(context), path)


def test_in_a_subfolder(context: Path) -> None:
    """A Dockerfile in a subfolder passes."""
    assert (context, "docker/Dockerfile.prod") == check_context(str(context), "docker/Dockerfile.prod")


def test_absolute_inside(context: Path) -> None:
    """An absolute path inside the context passes."""
    assert (context, "Dockerfile") == check_context(str(context), str(context / "Dockerfile"))


def test_context_through_a_link(context: Path, tmp_path: Path) -> None:
    """A context may be a link to a folder: the real folder is returned, for a Dockerfile by either path."""
    link = tmp_path / "link"
    link.symlink_to(context)

    assert (context, "Dockerfile") == check_context(str(link), "Dockerfile")
    assert (context, "Dockerfile") == check_context(str(link), str(link / "Dockerfile"))


def test_link_inside(context: Path) -> None:
    """A link inside the context is followed, and its target is returned."""
    (context / "link").symlink_to("docker/Dockerfile.prod")

    assert (context, "docker/Dockerfile.prod") == check_context(str(context), "link")


@pytest.mark.parametrize(
    "address", ["https://example.com/x.git", "http://x/y.tar", "git://x/y", "ssh://git@x/y", "git@github.com:x/y.git"]
)
def test_context_as_an_address(address: str) -> None:
    """An address is refused: the engine would fetch it."""
    assert "download it into a folder" in _refusal(address)


def test_context_missing(tmp_path: Path) -> None:
    """A missing context is refused."""
    assert "cannot be found" in _refusal(tmp_path / "absent")


def test_context_a_file(context: Path) -> None:
    """A file is refused as a context."""
    assert "is not a folder" in _refusal(context / "Dockerfile")


def test_context_a_fifo(tmp_path: Path) -> None:
    """A FIFO is refused without being opened."""
    os.mkfifo(tmp_path / "fifo")

    assert "is not a folder" in _refusal(tmp_path / "fifo")


def test_context_a_loop(tmp_path: Path) -> None:
    """A link to itself is refused."""
    (tmp_path / "loop").symlink_to("loop")

    assert "cannot be found" in _refusal(tmp_path / "loop")


def test_context_with_a_nul() -> None:
    """A NUL is refused."""
    assert "NUL" in _refusal("a\0b")


@pytest.mark.parametrize("path", ["../Dockerfile", "docker/../../Dockerfile"])
def test_dockerfile_outside(context: Path, path: str) -> None:
    """A Dockerfile outside the context is refused."""
    assert "is outside" in _refusal(context, path)


def test_dockerfile_absolute_outside(context: Path, tmp_path: Path) -> None:
    """An absolute path outside is refused, also where its beginning equals the context's name."""
    beside = tmp_path / "context2"
    beside.mkdir()
    (beside / "Dockerfile").touch()

    assert "is outside" in _refusal(context, str(tmp_path / "Dockerfile"))
    assert "is outside" in _refusal(context, str(beside / "Dockerfile"))


def test_dockerfile_by_a_link_out(context: Path) -> None:
    """A link, or a linked folder, to the outside of the context is refused."""
    (context / "link").symlink_to("../Dockerfile")
    (context / "up").symlink_to("..")

    assert "is outside" in _refusal(context, "link")
    assert "is outside" in _refusal(context, "up/Dockerfile")


def test_dockerfile_missing(context: Path) -> None:
    """The error for a missing Dockerfile names the context."""
    assert str(context) in _refusal(context, "Dockerfile.absent")


@pytest.mark.parametrize("path", ["docker", ".", "fifo"])
def test_dockerfile_no_file(context: Path, path: str) -> None:
    """A folder or a FIFO is refused as a Dockerfile."""
    os.mkfifo(context / "fifo")

    assert "not a regular file" in _refusal(context, path)


def test_dockerfile_of_another_encoding(context: Path) -> None:
    """A name that cannot be sent to the engine is refused."""
    name = os.fsdecode(b"Dockerfile.\xff")
    (context / name).touch()
    (context / "link").symlink_to(name)

    assert "UTF-8" in _refusal(context, "link")
