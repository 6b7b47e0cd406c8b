"""The registries that a Dockerfile uses."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.registries import DOCKER_HUB, registries_in
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.parser import Dockerfile


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM scratch", []),
        ("FROM busybox", [DOCKER_HUB]),
        ("FROM docker.io/library/busybox:1", [DOCKER_HUB]),
        ("FROM index.docker.io/library/busybox", [DOCKER_HUB]),
        ("from Localhost/app", ["Localhost"]),
        ("FROM someone/app:1.0", [DOCKER_HUB]),
        ("FROM one.example/app", ["one.example"]),
        ("FROM one.example:5000/a/b@sha256:00", ["one.example:5000"]),
        ("FROM [::1]:5000/app", ["[::1]:5000"]),
        ("FROM localhost/app", ["localhost"]),
        ("FROM --platform=linux/arm64 one.example/app AS base", ["one.example"]),
        ("FROM one.example/a AS Base\nFROM base\nFROM BASE AS c", ["one.example"]),
        ("FROM one.example/a\nFROM two.example/b\nFROM one.example/c", ["one.example", "two.example"]),
        ("FROM scratch\nCOPY --from=two.example/b /x /x", ["two.example"]),
        ("FROM scratch AS a\nFROM scratch\nCOPY --chown=0 --from=a /x /x\nCOPY --from=0 /x /x", []),
        ("FROM scratch\nCOPY --from=$WHO /x /x", []),
        ("FROM scratch\nRUN echo FROM one.example/app", []),
        ("# FROM one.example/a\nFROM \\\n # a comment\n\n  two.example/b", ["two.example"]),
        ("# escape=`\nFROM `\n two.example/b", ["two.example"]),
        ("# syntax=x\n# escape = `\nFROM `\n two.example/b", ["two.example"]),
        ("\tFROM\tone.example/a\tAS\tb", ["one.example"]),
        ("FROM", []),
        ("", []),
        ("FROM a$(x).example/x", []),
        (f"FROM {'a' * 300}.example/x", []),
    ],
)
def test_images_name_registries(dockerfile: str, expected: list[str]) -> None:
    """By the rules of distribution/reference; a stage is no image."""
    assert expected == registries_in(Dockerfile(dockerfile.encode()), {})


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("ARG R=one.example\nFROM $R/app", "one.example"),
        ('ARG R="one.example"\nFROM ${R}/app', "one.example"),
        ("ARG R=one.example A=$R/app\nFROM $A", "one.example"),
        ("ARG R\nFROM ${R:-one.example}/app", "one.example"),
        ("ARG R=\nFROM ${R:-one.example}/app", "one.example"),
        ("ARG R=one.example\nFROM ${R:+two.example}/app", "two.example"),
        ("ARG R=one.example\nFROM ${R-two.example}/app", "one.example"),
        ("ARG R=one.example\nARG TOLD=$R\nFROM $TOLD/app", "told.example"),
        ("ARG TOLD\nFROM $TOLD/app", "told.example"),
        ("FROM scratch\nARG R=one.example\nFROM ${R:-two.example}/app", "two.example"),
    ],
)
def test_arguments_stand_for_their_values(dockerfile: str, expected: str) -> None:
    """Those before the first FROM; a build argument wins over a default."""
    assert [expected] == registries_in(Dockerfile(dockerfile.encode()), {"TOLD": "told.example"})
