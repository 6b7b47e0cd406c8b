"""Build contexts as archives."""

import io
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.engine_call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.engine_context import pack_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode


def _packed(context: Path, dockerfile: str = "Dockerfile", call: Call | None = None) -> dict[str, bytes]:
    file = io.BytesIO()
    pack_context(call or Call(), context, dockerfile, file)
    assert 0 == file.tell()
    with tarfile.open(fileobj=file) as archive:
        return {member.name: member.type for member in archive}


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


def test_a_dockerignore_that_is_a_fifo_is_none(context: Path) -> None:
    """Nor is that read."""
    os.mkfifo(context / ".dockerignore")

    assert tarfile.FIFOTYPE == _packed(context)[".dockerignore"]


def test_links_are_not_followed(context: Path) -> None:
    """Neither out of the context nor in circles."""
    (context / "sub" / "up").symlink_to("..")
    (context / "passwd").symlink_to("/etc/passwd")
    packed = _packed(context)

    assert (tarfile.SYMTYPE, tarfile.SYMTYPE, 5) == (packed["sub/up"], packed["passwd"], len(packed))


def test_what_cannot_be_read_is_named(context: Path) -> None:
    """BUILD_FAILED, with the reason."""
    (context / "gone").symlink_to("/nowhere")  # a link is fine, and goes in as such
    with pytest.raises(DeploymentSenderError) as caught:
        _packed(context / "nothing")

    assert ErrorCode.BUILD_FAILED == caught.value.code
    assert f"The build context {context / 'nothing'} could not be packed: [Errno 2]" in caught.value.message


def test_a_file_that_shrinks_while_it_is_read_is_named(context: Path) -> None:
    """Docker would get a broken archive."""

    class Shrinks(io.BytesIO):
        def write(self, data: Any) -> int:
            if b"sub/file" in data:
                (context / "sub" / "file").write_text("")
            return super().write(data)

    with pytest.raises(DeploymentSenderError, match=r"sub/file \(unexpected end of data\)"):
        pack_context(Call(), context, "Dockerfile", Shrinks())


def test_an_abort_ends_the_walk(context: Path) -> None:
    """A large tree takes long to look at."""
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
