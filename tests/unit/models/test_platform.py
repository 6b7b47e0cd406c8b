"""Platforms: their normal form, and which engine runs which."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.platform import Platform, can_run


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("linux", "linux"),
        ("arm64", "arm64"),
        ("", ""),
    ],
)
def test_a_platform_has_one_form(text: str, spelled: str) -> None:
    """All spellings have one normal form, which is read as itself."""
    assert (spelled, spelled) == (str(Platform.parse(text)), str(Platform.parse(spelled)))


@pytest.mark.parametrize(
    ("actual", "requested", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/x86_64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/386", "linux/amd64", False),
        ("linux/arm64", "linux", True),
        ("linux/arm64", "arm64", True),
        ("linux/arm64", "amd64", False),
        ("windows/amd64", "linux", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm", True),
    ],
)
def test_an_image_is_of_the_requested_platform(actual: str, requested: str, expected: bool) -> None:
    """Parts that one of them leaves out match any value."""
    assert expected == Platform.parse(actual).satisfies(Platform.parse(requested))


@pytest.mark.parametrize(
    ("image", "engine", "can"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/386", "linux/amd64", True),
        ("linux/amd64", "linux/386", False),
        ("linux/arm/v7", "linux/arm64", True),
        ("linux/arm64", "linux/arm/v7", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/amd64/v3", "linux/amd64/v2", False),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/arm64/v9", "linux/arm64/v8", True),
        ("windows/amd64", "linux/amd64", False),
        ("linux/s390x", "linux/s390x", True),
        ("linux/ppc64le", "linux/amd64", False),
    ],
)
def test_engines_run_images(image: str, engine: str, can: bool) -> None:
    """Only the processor counts: an engine reports neither emulation nor a variant that it leaves out."""
    assert can == can_run(image, engine)
