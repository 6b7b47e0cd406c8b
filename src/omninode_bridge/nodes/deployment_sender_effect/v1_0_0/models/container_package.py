"""`package_container`: build an image, export, compress and hash it, and store it as a package."""

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, StrictStr

from .base import InputModel, OutputModel
from .fields import Checksum, Compression, ContainerName, CorrelationId, ImageTag, PackageId

__all__ = ["ModelContainerPackageInput", "ModelContainerPackageOutput"]

# The kernel refuses an argument or environment string of 128 KiB and more (execve(2), MAX_ARG_STRLEN), so a
# RUN step could not see a longer value.
_BUILD_ARG_MAX_BYTES = 131_071


def _build_args(value: dict[str, str]) -> dict[str, str]:
    for name, content in value.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError("a build argument's name is not empty and holds no = and no NUL")
        if "\0" in content:
            raise ValueError(f"build argument {name!r} holds a NUL")
        if len(content.encode("utf-8", "surrogatepass")) > _BUILD_ARG_MAX_BYTES:
            raise ValueError(
                f"build argument {name!r} is over {_BUILD_ARG_MAX_BYTES} bytes; put it into a file of the context"
            )
    return value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("a path holds no NUL")
    return value


_PathText = Annotated[StrictStr, Field(min_length=1), AfterValidator(_no_nul)]


class ModelContainerPackageInput(InputModel):
    """What to build, and how to store it.

    Attributes:
        container_name: The image's name by the OCI reference grammar, without the tag.
        image_tag: The image's tag.
        build_context: A folder on this machine; `.dockerignore` in it is applied.
        dockerfile_path: The Dockerfile, relative to `build_context` or absolute inside it.
        build_args: Build arguments; their values never appear in an error, a log or an event.
        target: The stage to build; the last one if not given.
        platform: `os[/arch[/variant]]`, as `docker build --platform`; an image of another one is BUILD_FAILED.
        labels: Labels to add to the image.
        no_cache: Build every step again, without the engine's build cache.
        compression: `gzip`, `zstd` or `none`; the setting `compression` if not given.
        verify_checksum: Whether transfers of this package check the file while they send it, unless the transfer sets
            its own `verify_checksum`; the setting `verify_checksums` if not given. The checksum is always computed.
        correlation_id: The caller's id; the contract's if not given.
    """

    container_name: ContainerName
    image_tag: ImageTag
    build_context: _PathText
    dockerfile_path: _PathText = "Dockerfile"
    build_args: Annotated[dict[StrictStr, StrictStr], AfterValidator(_build_args)] = Field(default_factory=dict)
    target: str | None = Field(default=None, min_length=1)
    platform: str | None = Field(default=None, pattern=r"^[a-z0-9_]+(/[a-z0-9_]+){0,2}\z")
    labels: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    no_cache: StrictBool = False
    compression: Compression | None = None
    verify_checksum: StrictBool | None = None
    correlation_id: CorrelationId | None = None


class ModelContainerPackageOutput(OutputModel):
    """The package that is now in the store; without success only the fields of the failure are set.

    Attributes:
        package_id: A UUID, which names the package in every later step.
        image_id: The engine's id of the image, `sha256:...`.
        platform: What the image is for, `os/architecture[/variant]`, also when none was requested.
        package_path: Absolute path of the package file.
        package_checksum: BLAKE3 of that file, 64 hex digits.
        package_size_bytes: Its size.
        package_size_mb: Its size in MB (1 MB is 1,000,000 bytes).
        compression: How the file is compressed.
        compression_ratio: Package bytes divided by exported bytes.
        build_duration_ms: The engine's build, in milliseconds.
        export_duration_ms: Export, compression, hashing and commit, in milliseconds.
        stages_ms: Where the time went, in milliseconds: `build`; `export_wait`, until the engine's first byte;
            `stream`, waiting for the further ones; `compress`, waiting for the compression; `hash` and `write`, at the
            same time as those; `commit`, until the package was durable.
    """

    container_name: str | None = None
    image_tag: str | None = None
    package_id: PackageId | None = None
    image_id: str | None = None
    platform: str | None = None
    package_path: str | None = None
    package_checksum: Checksum | None = None
    package_size_bytes: int | None = None
    package_size_mb: float | None = None
    compression: Compression | None = None
    compression_ratio: float | None = None
    build_duration_ms: float | None = None
    export_duration_ms: float | None = None
    stages_ms: dict[str, float] = Field(default_factory=dict)
