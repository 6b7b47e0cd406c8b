"""Keeps the image that an engine exports as a package of the store, in one pass: compress, hash, write, commit.

All of it runs in the worker thread of the export; `package_container` imports this module when it is first needed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import BuildError, EngineUnavailableError
from ..image.docker_archive import ImageArchive
from ..image.errors import ArchiveCutShortError, ArchiveError
from ..models import ModelContainerPackageInput
from ..models.fields import Compression
from ..package.manifest import LayerFacts, PackageManifest
from ..package.pack import Packed, pack
from ..store.packages import PackageStore
from ..telemetry.metrics import Span

__all__ = ["BuiltImage", "keep_image"]


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that the engine has built, and how to keep it.

    Attributes:
        request: Of `package_container`.
        reference: `name:tag` of the image.
        engine_image_id: The id that the engine gave it.
        platform: `os/architecture[/variant]`; None if the engine does not know it.
        compression: Of the package file.
        verify_checksum: Whether transfers verify the package, unless their request decides otherwise.
        span: Of the whole operation.
        exporting: Started when the image was built.
    """

    request: ModelContainerPackageInput
    reference: str
    engine_image_id: str
    platform: str | None
    compression: Compression
    verify_checksum: bool
    span: Span
    exporting: Span


def keep_image(
    store: PackageStore,
    image: BuiltImage,
    chunks: Iterator[bytes],
    *,
    max_bytes: int,
    on_bytes: Callable[[int], None],
) -> tuple[PackageManifest, Path]:
    """Make a committed package of an engine's export; after a failure nothing of it is in the store.

    Args:
        store: Where to keep it.
        image: What was built.
        chunks: The engine's export, uncompressed.
        max_bytes: Limit on the package file.
        on_bytes: Called with the number of exported bytes so far.

    Returns:
        The package, and the path of its file.

    Raises:
        EngineUnavailableError: The export ended early.
        BuildError: The export is not an image archive, or holds another image.
        PackageTooLargeError: The package would exceed `max_bytes`.
        StorageError: The disk refuses.
    """
    with store.begin(image.compression) as staged:
        try:
            exported = _counted(chunks, on_bytes)
            packed = pack(exported, staged.file, compression=image.compression, max_bytes=max_bytes, span=image.span)
        except ArchiveCutShortError as exc:  # the connection ended: a client cannot see that within a run of zeros
            raise EngineUnavailableError(f"the image {image.reference} could not be exported: {exc}") from exc
        except ArchiveError as exc:
            raise BuildError(f"the engine's export is not an image archive: {exc}") from exc
        _check_identity(packed.archive, image)
        manifest = _manifest(staged.entry_id, staged.filename, image, packed)
        with image.span.stage("commit"):
            return manifest, store.commit(staged, manifest)


def _counted(chunks: Iterator[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        on_bytes(done)
        yield chunk


def _check_identity(archive: ImageArchive, image: BuiltImage) -> None:
    if not (archive.names(image.reference) and archive.is_image(image.engine_image_id)):
        raise BuildError(
            f"{image.reference} named another image during the export than the one that was built",
            recovery="Another build used the same tag: package again, or give each build its own tag.",
            retry=True,
        )


def _manifest(package_id: str, filename: str, image: BuiltImage, packed: Packed) -> PackageManifest:
    return PackageManifest(
        package_id=package_id,
        container_name=image.request.container_name,
        image_tag=image.request.image_tag,
        engine_image_id=image.engine_image_id,
        config_digest=packed.archive.config_digest,
        platform=image.platform,
        layers=tuple(LayerFacts(diff_id=layer.diff_id, size_bytes=layer.size_bytes) for layer in packed.archive.layers),
        compression=image.compression,
        filename=filename,
        size_bytes=packed.size_bytes,
        exported_bytes=packed.archive.size_bytes,
        checksum=packed.checksum,
        verify_checksum=image.verify_checksum,
        correlation_id=image.request.correlation_id,
        created_at=datetime.now(UTC),
        build_duration_ms=image.span.stages_ms["build"],
        export_duration_ms=image.exporting.elapsed_ms,
    )
