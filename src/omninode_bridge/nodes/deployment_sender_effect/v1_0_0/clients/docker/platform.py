"""An engine's platform in the terms of OCI images, and its image store."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

__all__ = ["EnginePlatform", "engine_platform", "image_store"]

# `docker info` has the kernel's name of an architecture, as `uname -m` prints it; podman has Go's, as images have
# (image-spec, config.md, "architecture"). The kernel's names are from linux, arch/*/Makefile and init/version.c; the
# variants from github.com/containerd/platforms, cpuinfo_linux.go.
_ARCHITECTURES: Final[Mapping[str, tuple[str, str | None]]] = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "i386": ("386", None),
    "i486": ("386", None),
    "i586": ("386", None),
    "i686": ("386", None),
    "aarch64": ("arm64", None),
    "armv8l": ("arm", "v7"),  # a 32-bit engine on a 64-bit processor
    "armv7l": ("arm", "v7"),
    "armv7": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "loongarch64": ("loong64", None),
    "mips64el": ("mips64le", None),
}
_STORE: Final = "driver-type"


class EnginePlatform(TypedDict):
    """The platform that an engine runs images of; see `EngineInfo` (`ports/`)."""

    os: str
    architecture: str
    variant: str | None


def engine_platform(info: Mapping[str, Any]) -> EnginePlatform:
    """Return the platform that an engine runs images of; fields are empty where it does not report them.

    Args:
        info: Its response to `GET /info`.
    """
    reported = str(info.get("Architecture") or "").lower()
    architecture, variant = _ARCHITECTURES.get(reported, (reported, None))
    return {"os": str(info.get("OSType") or "").lower(), "architecture": architecture, "variant": variant}


def image_store(info: Mapping[str, Any]) -> str:
    """Return the plug-in of containerd that keeps an engine's images; empty where the storage driver does.

    Args:
        info: Its response to `GET /info`.
    """
    for entry in info.get("DriverStatus") or ():
        match entry:
            case [name, value] if name == _STORE:
                return str(value)
    return ""
