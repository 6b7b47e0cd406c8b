"""Platforms as OCI images name them, `os/architecture[/variant]`, and which engine runs which.

Spellings are normalised as github.com/containerd/platforms 1.0, database.go, does. That engines also run 32-bit
programs on 64-bit processors, and older variants on newer ones, is from compare.go there (`platformVector`).
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import Field

__all__ = ["Platform", "PlatformName", "can_run"]

PlatformName = Annotated[str, Field(max_length=128, pattern=r"^[a-z0-9_.-]+(/[a-z0-9_.-]+){1,2}\z")]
"""`os/architecture[/variant]`, as `Platform` spells it."""

_SPELLINGS: Final = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# Variants that are left out of a platform's name.
_PLAIN_VARIANTS: Final = {("amd64", "v1"), ("arm64", "v8"), ("arm64", "v8.0")}
_SYSTEMS: Final = frozenset(
    ("android", "darwin", "freebsd", "illumos", "linux", "macos", "netbsd", "openbsd", "solaris", "wasip1", "windows")
)
_OLDER_RUN: Final = {"amd64", "arm", "arm64"}


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform, normalised; parts that are unknown or not requested are empty.

    Attributes:
        os: `linux`, ...
        architecture: `amd64`, `arm64`, `arm`, `386`, ...
        variant: Of the architecture: `v7`, ...; empty for `amd64/v1` and `arm64/v8`, too.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str | None = None) -> Self:
        """Normalise the parts as an image's configuration or an engine reports them."""
        architecture, implied = _SPELLINGS.get(architecture.lower(), (architecture.lower(), ""))
        variant = (variant or implied).lower()
        if variant and not variant.startswith("v"):
            variant = f"v{variant}"
        plain = (architecture, variant) in _PLAIN_VARIANTS
        return cls("darwin" if os.lower() == "macos" else os.lower(), architecture, "" if plain else variant)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os[/architecture[/variant]]`, or an architecture alone, as `docker build --platform` does."""
        first, *others = text.split("/")
        if not others and first.lower() not in _SYSTEMS:
            return cls.of("", first)
        return cls.of(first, others[0] if others else "", others[1] if len(others) > 1 else None)

    def __str__(self) -> str:
        """Spell it as `parse` reads it."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def satisfies(self, requested: "Platform") -> bool:
        """Return whether an image of this platform is what was requested; parts that are empty match any value."""
        return all(
            not expected or not actual or expected == actual
            for expected, actual in (
                (requested.os, self.os),
                (requested.architecture, self.architecture),
                (requested.variant, self.variant),
            )
        )


def can_run(platform: str, engine_platform: str) -> bool:
    """Return whether an engine's processor runs an image; emulation is not counted, as no engine reports it.

    Args:
        platform: Of the image, `os/architecture[/variant]`.
        engine_platform: Of the engine, the same.

    Returns:
        False only where it certainly cannot; an unknown variant is no reason.
    """
    image, engine = Platform.parse(platform), Platform.parse(engine_platform)
    if image.os != engine.os:
        return False
    if image.architecture == engine.architecture:
        return _at_most(image, engine)
    if (image.architecture, engine.architecture) == ("386", "amd64"):
        return True
    return (image.architecture, engine.architecture) == ("arm", "arm64")


def _at_most(image: Platform, engine: Platform) -> bool:
    """Return whether the image's variant is the engine's or an older one."""
    if not image.variant or not engine.variant or image.variant == engine.variant:
        return True
    return image.architecture in _OLDER_RUN and _number(image.variant) <= _number(engine.variant)


def _number(variant: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", variant))
