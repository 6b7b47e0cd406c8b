"""References are brought to one form."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.reference import normalized


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
        ("localhost:5000/hello:1.0", "localhost:5000/hello:1.0"),
        ("registry.example/team/hello:1.0", "registry.example/team/hello:1.0"),
        ("[::1]:5000/hello", "[::1]:5000/hello:latest"),
        ("UPPER/hello:1.0", "UPPER/hello:1.0"),
    ],
)
def test_one_form(reference: str, expected: str) -> None:
    """A reference is spelled in full as distribution/reference does."""
    assert expected == normalized(reference)
