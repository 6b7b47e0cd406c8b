"""The identity of a package."""

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity


def test_the_reference_names_the_image_in_the_package() -> None:
    """It is the name and the tag, as an engine writes them."""
    identity = PackageIdentity("7c9e6679-7425-40de-944b-e07fc1f90ae7", "b" * 64, "registry.example:5000/hello", "1.0")

    assert "registry.example:5000/hello:1.0" == identity.reference


def test_facts_that_are_not_known_are_none() -> None:
    """An announcement has only some of them."""
    identity = PackageIdentity("7c9e6679-7425-40de-944b-e07fc1f90ae7", "b" * 64, "hello", "1.0")

    assert (None, None, None, None) == (
        identity.size_bytes,
        identity.compression,
        identity.config_digest,
        identity.platform,
    )
