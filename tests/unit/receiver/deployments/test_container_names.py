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
    """With a name that Docker accepts; tests/property checks that no two images share one."""
    assert container == container_name(image)


def test_a_new_container_has_a_name_that_no_image_leads_to() -> None:
    """Because of its upper-case letter."""
    assert "hello.Next" == next_name("hello")
