"""Build contexts as archives."""

import io
import itertools
import json
import os
import socket
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.context import pack_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import BuildError, OperationError
from support.engine.docker_client import CASES, make_tree, names_in

RECORDED = json.loads(CASES.read_text())
# Docker does not look at an exception that nothing comes to; for us, a line that is no pattern always is an error.
NOT_LOOKED_AT_BY_DOCKER: set[str] = set()


def _packed(context: Path, dockerfile: str = "Dockerfile", call: Call | None = None) -> dict[str, bytes]:
    file = io.BytesIO()
    pack_context(call or Call(), context, dockerfile, file)
    assert 0 == file.tell()
    with tarfile.open(fileobj=file) as archive:
        return {member.name: member.type for member in archive}


def _refused(context: Path) -> OperationError:
    with pytest.raises(OperationError) as caught:
        _packed(context)
    return caught.value


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with a Dockerfile."""
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "sub" / "file").write_text("content")
    return folder


def test_files_and_folders_go_in(context: Path) -> None:
    """By their names below the context."""
    assert {"Dockerfile", "sub", "sub/file"} == _packed(context).keys()


def test_dockerignore_keeps_out_but_never_the_dockerfile(context: Path) -> None:
    """Comments and blank lines are none; a byte order mark is none either."""
    (context / ".dockerignore").write_bytes("\ufeff*\n\n# sub\n!sub/fil?\n".encode())

    assert {"Dockerfile", ".dockerignore", "sub/file"} == _packed(context).keys()


def test_the_dockerfile_may_have_another_name(context: Path) -> None:
    """That one stays in then."""
    (context / ".dockerignore").write_text("*\n")

    assert {"sub/file", ".dockerignore"} == _packed(context, "sub/file").keys()


def test_a_socket_is_left_out_and_a_fifo_is_not_read(context: Path) -> None:
    """Reading a FIFO would take for ever."""
    os.mkfifo(context / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(context / "socket"))
        packed = _packed(context)

    assert (tarfile.FIFOTYPE, False) == (packed["fifo"], "socket" in packed)


def test_a_dockerignore_that_is_a_fifo_is_refused(context: Path) -> None:
    """It is not waited for, and nothing is sent that it might have kept out."""
    os.mkfifo(context / ".dockerignore")

    assert ".dockerignore (it is not a regular file" in _refused(context).message


def test_a_dockerignore_may_be_a_link_inside_the_context(context: Path) -> None:
    """As one to .gitignore often is; it goes in as the link that it is."""
    (context / ".gitignore").write_text("sub\n")
    (context / ".dockerignore").symlink_to(".gitignore")

    assert {
        "Dockerfile": tarfile.REGTYPE,
        ".dockerignore": tarfile.SYMTYPE,
        ".gitignore": tarfile.REGTYPE,
    } == _packed(context)


def test_a_dockerignore_that_links_outside_the_context_is_refused(context: Path) -> None:
    """Nothing outside is read."""
    (context.parent / "outside").write_text("sub\n")
    (context / ".dockerignore").symlink_to("../outside")

    assert f".dockerignore is a link to {context.parent / 'outside'}" in _refused(context).message


def test_a_dockerignore_that_links_to_nothing_is_none(context: Path) -> None:
    """As for docker's client."""
    (context / ".dockerignore").symlink_to("nothing")

    assert {"Dockerfile", ".dockerignore", "sub", "sub/file"} == _packed(context).keys()


def test_a_line_that_is_no_pattern_is_named(context: Path) -> None:
    """With what to do."""
    (context / ".dockerignore").write_text("sub\n\na[\n")
    error = _refused(context)

    said = f".dockerignore of the build context {context}, line 3: 'a[' is no pattern: "
    assert isinstance(error, BuildError)
    assert f"{said}'[' begins with a [ that encloses no characters or ranges" == error.message
    assert str(error.recovery).startswith("Fix that line.")


def test_a_dockerfile_may_have_its_own_patterns(context: Path) -> None:
    """They are read in place of .dockerignore, as BuildKit does."""
    (context / ".dockerignore").write_text("*\n")
    (context / "Dockerfile.dockerignore").write_text("sub/fi*\n")

    assert {"Dockerfile", ".dockerignore", "Dockerfile.dockerignore", "sub"} == _packed(context).keys()


def test_a_dockerfile_in_an_ignored_folder_goes_in(context: Path) -> None:
    """Alone."""
    (context / ".dockerignore").write_text("sub\n")
    (context / "sub" / "other").touch()

    assert {"Dockerfile", ".dockerignore", "sub/file"} == _packed(context, "sub/file").keys()


def test_the_dockerfile_is_returned_as_it_was_packed(context: Path) -> None:
    """The text that is checked is the text that is built."""
    assert b"FROM scratch\n" == pack_context(Call(), context, "Dockerfile", io.BytesIO())


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: repr(case["text"]))
def test_the_same_files_are_left_out_as_by_docker(tmp_path: Path, case: dict[str, Any]) -> None:
    """As a client of Docker 28 was seen to do, for the same patterns in the same tree."""
    files = RECORDED["files"]
    make_tree(tmp_path, files)
    (tmp_path / ".dockerignore").write_text(case["text"], newline="")
    if case["left_out"] is None or case["text"] in NOT_LOOKED_AT_BY_DOCKER:
        assert isinstance(_refused(tmp_path), BuildError)
    else:
        assert case["left_out"] == sorted({*names_in(files)} - _packed(tmp_path).keys())


def test_an_ignored_folder_is_not_opened(context: Path) -> None:
    """It may hold very many files."""
    (context / "seen").mkdir()
    (context / "seen" / "file").touch()
    (context / ".dockerignore").write_text("sub\n!other/file\n")
    opened: set[str] = set()

    class Watches(Call):
        def raise_if_aborted(self) -> None:
            for descriptor in Path("/proc/self/fd").iterdir():
                with suppress(FileNotFoundError):
                    opened.add(str(descriptor.readlink()))

    _packed(context, call=Watches())
    assert (True, False) == (str(context / "seen") in opened, str(context / "sub") in opened)


@pytest.mark.parametrize("becomes", ["a link", "a FIFO"])
@pytest.mark.parametrize("what", ["sub", "sub/file", "Dockerfile", ".dockerignore"])
def test_a_file_that_is_replaced_meanwhile_leads_nowhere(context: Path, what: str, becomes: str) -> None:
    """At every step the build fails or gets a file of the context, and nothing blocks."""
    (context / ".dockerignore").write_text("nothing\n")
    outside = context.parent / "outside"
    outside.mkdir()
    for name in ("file", "Dockerfile", ".dockerignore"):
        (outside / name).write_text("OUTSIDE")
    target = outside if what == "sub" else outside / Path(what).name
    swapped, aside = context / what, context.parent / "aside"

    class Swaps(Call):
        def __init__(self, step: int) -> None:
            super().__init__()
            self.left = step

        def raise_if_aborted(self) -> None:
            self.left -= 1
            if self.left == 0:
                swapped.rename(aside)
                swapped.symlink_to(target) if becomes == "a link" else os.mkfifo(swapped)

    for step in itertools.count(1):
        call, file = Swaps(step), io.BytesIO()
        with suppress(OperationError):
            pack_context(call, context, "Dockerfile", file)
        assert b"OUTSIDE" not in file.getvalue()
        if call.left > 0:  # it was packed before that step
            break
        swapped.unlink()
        aside.rename(swapped)
    assert step > 10


def test_hard_links_stay_links(context: Path) -> None:
    """Their content goes in once."""
    (context / "again").hardlink_to(context / "sub" / "file")

    assert {tarfile.REGTYPE, tarfile.LNKTYPE} == {_packed(context)[name] for name in ("again", "sub/file")}


def test_a_deep_tree_takes_few_open_folders(context: Path) -> None:
    """However deep it is."""
    (context / "/".join("d" * 200)).mkdir(parents=True)
    before, most = len(list(Path("/proc/self/fd").iterdir())), 0

    class Counts(Call):
        def raise_if_aborted(self) -> None:
            nonlocal most
            most = max(most, len(list(Path("/proc/self/fd").iterdir())))

    assert 200 == sum(name.startswith("d") for name in _packed(context, call=Counts()))
    assert most <= before + 5


def test_links_are_not_followed(context: Path) -> None:
    """Neither out of the context nor in circles."""
    (context / "sub" / "up").symlink_to("..")
    (context / "passwd").symlink_to("/etc/passwd")
    packed = _packed(context)

    assert (tarfile.SYMTYPE, tarfile.SYMTYPE, 5) == (packed["sub/up"], packed["passwd"], len(packed))


def test_an_unreadable_file_is_named(context: Path) -> None:
    """The message has the reason."""
    (context / "gone").symlink_to("/nowhere")  # a link is fine, and goes in as such
    with pytest.raises(OperationError) as caught:
        _packed(context / "nothing")

    assert isinstance(caught.value, BuildError)
    assert f"The build context {context / 'nothing'} could not be packed: [Errno 2]" in caught.value.message


def test_a_file_that_shrinks_while_it_is_read_is_named(context: Path) -> None:
    """Docker would get a broken archive."""

    class Shrinks(io.BytesIO):
        def write(self, data: Any) -> int:
            if b"sub/file" in data:
                (context / "sub" / "file").write_text("")
            return super().write(data)

    with pytest.raises(OperationError, match=r"sub/file \(unexpected end of data\)"):
        pack_context(Call(), context, "Dockerfile", Shrinks())


def test_an_abort_ends_the_walk(context: Path) -> None:
    """A large tree takes long to read."""
    call = Call()
    call.abort()
    with pytest.raises(AbortedError):
        _packed(context, call=call)


def test_an_abort_ends_the_packing(context: Path) -> None:
    """A large file takes long to copy."""
    call = Call()

    class Aborts(io.BytesIO):
        def write(self, data: Any) -> int:
            call.abort()
            return super().write(data)

    with pytest.raises(AbortedError):
        pack_context(call, context, "Dockerfile", Aborts())
