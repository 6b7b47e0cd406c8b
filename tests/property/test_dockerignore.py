"""`.dockerignore`: the files that are packed are those that today's docker client sends."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.context import pack_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError
from support.engine.docker_client import DockerClient, make_tree

FILES = [
    "Dockerfile",
    ".dockerignore",
    ".env",
    "A/b",
    "a/b/a",
    "a/b/secrets/key.pem",
    "a/secrets/public/key.pem",
    "a.b",
    "ab/a.b/b",
    "b/a/b/d1",
    "secrets/private/key.pem",
    "secrets/public/key.pem",
    "é/a",
]
_PARTS = ["a", "b", "ab", "a.b", "A", "é", "secrets", "public", "key.pem", "Dockerfile", ".env", "*", "**", "?"]
_RARE = ["[ab]", "[^a]", "[a-c]", "[*]", "..", ".", "\\*", "\\d", "^", "!", "|", "{1}", "$", "(", "+", " ", "#"]
_names = st.lists(st.sampled_from(_PARTS) | st.sampled_from(_RARE), min_size=1, max_size=2).map("".join)
_patterns = st.lists(_names, min_size=1, max_size=4).map("/".join)
_lines = st.builds(
    lambda before, pattern, after: before + pattern + after,
    st.sampled_from(["", "", "", "!", "!", "/", "! ", " ", "#"]),
    _patterns,
    st.sampled_from(["", "", "", "/", " ", "\r"]),
)


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    """Return a docker client, 23 or newer."""
    with DockerClient.found() as found:
        if found is None:
            pytest.skip("no docker client 23 or newer is on this machine; its results are in dockerignore_cases.json")
        yield found


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tree in which patterns match some files."""
    folder = tmp_path_factory.mktemp("context") / "context"
    make_tree(folder, FILES)
    return folder


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(_lines, max_size=6))
@example(lines=["!"])
@example(lines=["aa", "!*{1}"])
@example(lines=["**/a/**/b*/**/*", "!*/*/*/a", "!**/b/**/d*1*"])
@example(lines=["**/secrets", "!secrets/public"])
@example(lines=["*", "!**/key.pem", "!a/secrets"])
def test_what_is_packed_is_what_docker_sends(client: DockerClient, context: Path, lines: list[str]) -> None:
    """Both send the same names for any patterns, and refuse the same patterns.

    Docker reads a pattern when a file is compared with it, so it may not notice a malformed one.
    """
    _write_patterns(context, lines)
    sent, packed = client.sent(context), _packed(context)
    if packed is None and sent is not None:
        assert any(_is_refused_alone(client, context, line) for line in lines)
    else:
        assert sent == packed


def _write_patterns(context: Path, lines: list[str]) -> None:
    (context / ".dockerignore").write_text("\n".join(lines), newline="")


def _is_refused_alone(client: DockerClient, context: Path, line: str) -> bool:
    """Return whether docker refuses a pattern that every file is compared with."""
    _write_patterns(context, [line.strip().removeprefix("!")])
    return client.sent(context) is None


def _packed(context: Path) -> list[str] | None:
    file = io.BytesIO()
    try:
        pack_context(Call(), context, "Dockerfile", file)
    except OperationError:
        return None
    with tarfile.open(fileobj=file) as archive:
        return sorted(archive.getnames())
