"""What the classic builder of an engine would not do."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.classic_builder import (
    platform_arguments,
    unsupported,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.parser import Dockerfile
from support.engine.dockerfiles import ORDINARY


def _found(text: str, target: str | None = None) -> list[tuple[int, str]]:
    return [(one.line, one.feature) for one in unsupported(Dockerfile(text.encode()), target)]


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_what_every_builder_does_is_accepted(text: str) -> None:
    """A Dockerfile of which all is supported is reported as such, however unusual it is."""
    assert [] == _found(text)


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("RUN <<EOF\ntouch /made\nEOF", "RUN <<EOF (a here-document)"),
        ("RUN <<-'END' sh\n\techo\n\tEND", "RUN <<END (a here-document)"),
        ("RUN 3<< EOF cat\nx\r\nEOF\r\n", "RUN <<EOF (a here-document)"),
        ("COPY <<EOF /file\nx\nEOF", "COPY <<EOF (a here-document)"),
        ("ADD hello <<EOF /dir/\nx\nEOF", "ADD <<EOF (a here-document)"),
        ("ONBUILD RUN <<EOF\nx\nEOF", "RUN <<EOF (a here-document)"),
        ('COPY ["<<EOF", "hello", "/dir/"]', "COPY <<EOF (a here-document)"),
        ("COPY --exclude=*.key . /", "COPY --exclude"),
        ("COPY --chown=0 --link hello /", "COPY --link"),
        ("copy --parents a/b /", "COPY --parents"),
        ("COPY --chmod=600 hello /", "COPY --chmod"),
        ('ADD --"chmod"=600 hello /', "ADD --chmod"),
        ("ADD --checksum=sha256:0 https://example.org/x /", "ADD --checksum"),
        ("ADD --keep-git-dir=true https://example.org/x /", "ADD --keep-git-dir"),
        ("ADD --unpack=true hello /", "ADD --unpack"),
        ("ADD https://example.org/x.git#v1 /", "ADD of a git repository"),
        ("ADD git@example.org:x/y.git /", "ADD of a git repository"),
        ("RUN --mount=type=cache,target=/x true", "RUN --mount"),
        ("RUN \\\n  --network=none true", "RUN --network"),
        ("RUN --security=insecure true", "RUN --security"),
        ("ONBUILD COPY --link hello /", "COPY --link"),
        ("COPY --something=new hello /", "COPY --something"),
    ],
)
def test_what_needs_buildkit_is_found(text: str, feature: str) -> None:
    """Each unsupported feature is found, with the line where it begins."""
    assert [(3, feature)] == _found(f"FROM scratch\n\n{text}\n")


@pytest.mark.parametrize(
    ("directives", "line", "feature"),
    [
        ("# syntax=example.org/other:1", 1, "# syntax=example.org/other:1"),
        ("# check=skip=all;error=true", 1, "# check=skip=all;error=true"),
        ("# check=skip=all\n# escape=`", 2, "# escape=` behind # check="),
    ],
)
def test_directives_that_engines_ignore_are_found(directives: str, line: int, feature: str) -> None:
    """Directives are found that the engine would ignore without a message."""
    assert [(line, feature)] == _found(f"{directives}\nFROM scratch\n")


@pytest.mark.parametrize(
    "syntax",
    [
        "docker/dockerfile:1",
        "docker.io/docker/dockerfile:1.7-labs",
        "registry.example.org:5000/docker/dockerfile:1",
        f"docker/dockerfile@sha256:{'0' * 64}",
        "docker/dockerfile-upstream:master",
    ],
)
def test_the_usual_language_is_accepted(syntax: str) -> None:
    """The language of docker/dockerfile is accepted; new features are found where they are used."""
    assert [] == _found(f"# syntax={syntax}\nFROM scratch\n")


@pytest.mark.parametrize(("target", "found"), [("Base", []), ("0", []), ("last", [4]), (None, [4]), ("1", [4])])
def test_stages_behind_the_target_are_not_checked(target: str | None, found: list[int]) -> None:
    """Stages behind the target are not built, and so not checked."""
    text = "FROM scratch AS base\nCOPY a /\nFROM base AS last\nCOPY --link b /\n"
    assert found == [line for line, _ in _found(text, target)]


def test_a_here_document_without_an_end_is_left_to_the_shell() -> None:
    """A `<<` without an end may be a shift of bits; the lines after it are read as instructions."""
    assert [(3, "COPY --link")] == _found("FROM scratch\nRUN echo $((1 << 2))\nCOPY --link a /\n")


def test_a_platform_argument_of_buildkit_is_found_in_from() -> None:
    """An argument in FROM is found unless it is declared, as then it has a value."""
    text = "FROM --platform=$BUILDPLATFORM alpine\nFROM alpine:${TARGETARCH}\n"
    assert [(1, "$BUILDPLATFORM in FROM"), (2, "$TARGETARCH in FROM")] == _found(text)
    assert [] == _found(f"ARG BUILDPLATFORM\nARG TARGETARCH\n{text}")


def test_arguments_about_platforms_are_listed() -> None:
    """The platform arguments without a value are returned."""
    text = "ARG BUILDPLATFORM\nFROM scratch\nARG TARGETOS TARGETARCH\nARG TARGETVARIANT=v7 OTHER\n"
    assert {"BUILDPLATFORM", "TARGETOS", "TARGETARCH"} == platform_arguments(Dockerfile(text.encode()))


def test_each_feature_has_advice() -> None:
    """The advice for each feature fits behind a colon."""
    found = unsupported(Dockerfile(b"FROM scratch\nCOPY --link a /\nRUN --new true\nRUN <<EOF\n\nEOF\n"))
    assert [True, True, True] == [bool(one.instead) and one.instead[0].islower() for one in found]
