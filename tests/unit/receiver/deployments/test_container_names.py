"""Names of containers."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_names import (
    container_name,
    next_name,
)


@pytest.mark.parametrize(
    ("image", "container"),
    [
        ("hello", "hello"),
        ("a.b_c-d", "a.b_c-d"),
        ("team/hello", "teamX2fhello"),
        ("localhost:5000/hello", "localhostX3a5000X2fhello"),
        ("Edge/hello", "X45dgeX2fhello"),
        ("a", "aX"),
        ("[::1]:5000/a", "X5bX3aX3a1X5dX3a5000X2fa"),
    ],
)
def test_a_container_is_named_after_its_image(image: str, container: str) -> None:
    """In a name that Docker takes; tests/property holds that no two images share one."""
    assert container == container_name(image)


def test_what_shall_replace_it_has_a_name_that_no_image_has() -> None:
    """By its upper-case letter."""
    assert "hello.Next" == next_name("hello")
