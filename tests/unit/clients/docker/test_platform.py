"""An engine's platform and image store."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.platform import engine_platform, image_store


@pytest.mark.parametrize(
    ("reported", "architecture", "variant"),
    [
        ("x86_64", "amd64", None),
        ("aarch64", "arm64", None),
        ("armv7l", "arm", "v7"),
        ("armv6l", "arm", "v6"),
        ("i686", "386", None),
        ("amd64", "amd64", None),
        ("arm64", "arm64", None),
        ("riscv64", "riscv64", None),
        ("s390x", "s390x", None),
    ],
)
def test_an_architecture_is_named_as_images_name_it(reported: str, architecture: str, variant: str | None) -> None:
    """The engine reports the kernel's name or Go's."""
    expected = {"os": "linux", "architecture": architecture, "variant": variant}
    assert expected == engine_platform({"OSType": "linux", "Architecture": reported})


@pytest.mark.parametrize("info", [{}, {"OSType": None, "Architecture": None}])
def test_an_unreported_platform_is_empty(info: dict[str, Any]) -> None:
    """Nothing is guessed."""
    assert {"os": "", "architecture": "", "variant": None} == engine_platform(info)


@pytest.mark.parametrize(
    ("info", "store"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, ""),
        (
            {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
            "io.containerd.snapshotter.v1",
        ),
        ({"Driver": "overlay", "DriverStatus": None}, ""),
        ({"Driver": "overlay", "DriverStatus": [None, []]}, ""),
    ],
)
def test_an_image_store_is_distinguished_from_a_storage_driver(info: dict[str, Any], store: str) -> None:
    """Containerd's has drivers of the same names."""
    assert store == image_store(info)
