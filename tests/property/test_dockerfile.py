"""Dockerfiles: any bytes are read, and what needs BuildKit is found at any place."""

from hypothesis import example, given
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.classic_builder import (
    platform_arguments,
    unsupported,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.parser import Dockerfile

_PIECES = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ARG",
    "ONBUILD",
    "# syntax=",
    "# check=",
    "# escape=`",
    "#",
    "\\",
    "`",
    "\n",
    "\r\n",
]
_PIECES += [
    " ",
    "\t",
    "--",
    "--a=",
    "<<",
    "<<-",
    "A",
    "'",
    '"',
    "$",
    "${",
    "}",
    ":-",
    "[",
    '["a", "b"]',
    "x.git",
    "\0",
    "é",
]
_texts = st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)
_ORDINARY = ["RUN true", "RUN a \\\n # comment\n\n && b", "ENV a=b", 'CMD ["x"]', "# comment", "", "RUN echo $((1<<2))"]


@given(_texts | st.binary(max_size=40))
@example("# syntax= ")
def test_anything_can_be_read(content: str | bytes) -> None:
    """Any bytes are read without an error; the engine reports mistakes."""
    content = content.encode() if isinstance(content, str) else content
    dockerfile = Dockerfile(content)

    assert all(1 <= one.line <= content.count(b"\n") + 1 for one in unsupported(dockerfile))
    assert platform_arguments(dockerfile) <= {"TARGETPLATFORM"}


@given(st.lists(st.sampled_from(_ORDINARY), max_size=6), st.lists(st.sampled_from(_ORDINARY), max_size=6))
def test_what_needs_buildkit_is_found_anywhere(before: list[str], after: list[str]) -> None:
    """Each unsupported feature is found, and nothing else."""
    begin = "\n".join(["FROM scratch", *before])
    text = "\n".join([begin, "RUN <<END", "COPY --link a /", "END", *after, "COPY --link a /"])

    lines = [begin.count("\n") + 2, text.count("\n") + 1]
    assert lines == [one.line for one in unsupported(Dockerfile(text.encode()))]
