"""Image references, split and spelled in full."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.reference import ImageReference, split_tag

_DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("hello", "docker.io/library/hello:latest"),
        ("hello:1.0", "docker.io/library/hello:1.0"),
        ("docker.io/hello:1.0", "docker.io/library/hello:1.0"),
        ("docker.io/library/hello:1.0", "docker.io/library/hello:1.0"),
        ("index.docker.io/hello:1.0", "docker.io/library/hello:1.0"),
        ("team/hello:1.0", "docker.io/team/hello:1.0"),
        ("docker.io/team/hello:1.0", "docker.io/team/hello:1.0"),
        ("localhost/hello", "localhost/hello:latest"),
        ("localhost:5000/hello", "localhost:5000/hello:latest"),
        ("localhost:5000/hello:1.0", "localhost:5000/hello:1.0"),
        ("registry.example/team/hello:1.0", "registry.example/team/hello:1.0"),
        ("[::1]:5000/hello", "[::1]:5000/hello:latest"),
        ("UPPER/hello:1.0", "UPPER/hello:1.0"),
        (f"hello@{_DIGEST}", f"docker.io/library/hello@{_DIGEST}"),
        (f"hello:1.0@{_DIGEST}", f"docker.io/library/hello:1.0@{_DIGEST}"),
    ],
)
def test_spelled_in_full(reference: str, expected: str) -> None:
    """A reference is spelled in full as distribution/reference does, and what is in full stays as it is."""
    assert expected == str(ImageReference.parse(reference))
    assert expected == str(ImageReference.parse(expected))


def test_parts() -> None:
    """A reference is split into its parts."""
    expected = ImageReference("registry.example:5000", "team/hello", "1.0", _DIGEST)

    assert expected == ImageReference.parse(f"registry.example:5000/team/hello:1.0@{_DIGEST}")
    assert "registry.example:5000/team/hello" == expected.name


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("hello", ("hello", None)),
        ("hello:1.0", ("hello", "1.0")),
        ("localhost:5000/hello", ("localhost:5000/hello", None)),
        ("localhost:5000/hello:1.0", ("localhost:5000/hello", "1.0")),
    ],
)
def test_split_tag(reference: str, expected: tuple[str, str | None]) -> None:
    """The name stays as it is spelled; the port of a registry is part of it."""
    assert expected == split_tag(reference)
