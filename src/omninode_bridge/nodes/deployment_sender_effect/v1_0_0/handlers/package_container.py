"""Handler of `package_container`: build, then export, compress, hash and keep in one pass."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..concurrency import run_in_thread
from ..errors import DeploymentSenderError, ErrorCode
from ..image.errors import ArchiveCutShortError, ArchiveError
from ..models import ModelContainerPackageInput, ModelContainerPackageOutput
from ..models.fields import Compression
from ..models.platform import Platform
from ..ports import BuildRequest, ImageBuilder, ImageSource, Progress, ProgressCallback
from ..resources import Resources
from ..telemetry.metrics import Span
from .build_context import check_context
from .outcome import errors_to_output, failure

if TYPE_CHECKING:
    from ..image.docker_archive import ImageArchive
    from ..package.manifest import PackageManifest
    from ..package.pack import Packed
    from ..store.packages import PackageStore

__all__ = ["PackageContainerHandler"]

_log = logging.getLogger(__name__)
_PROGRESS_EVERY_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class _Built:
    """An image that the engine has built, and how to keep it.

    Attributes:
        platform: `os/architecture[/variant]`.
        span: Of the whole operation.
        exporting: From the moment the image was built.
    """

    reference: str
    image_id: str
    platform: str | None
    compression: Compression
    verify_checksum: bool
    request: ModelContainerPackageInput
    span: Span
    exporting: Span


class PackageContainerHandler:
    """Turns a Dockerfile into a verified package of the store."""

    request_model: ClassVar = ModelContainerPackageInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def handle(
        self, request: ModelContainerPackageInput, on_progress: ProgressCallback | None = None
    ) -> ModelContainerPackageOutput:
        """Build and keep one image.

        Args:
            request: What to build.
            on_progress: Told each line of the build's log and the bytes exported, on the loop's thread.

        Returns:
            The package, or the failure: DOCKER_UNAVAILABLE, BUILD_FAILED, PACKAGE_TOO_LARGE.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR before the engine is asked for anything.
        """
        context, dockerfile = await asyncio.to_thread(check_context, request.build_context, request.dockerfile_path)
        await self._resources.store()  # there may be no folder for it
        tell = on_progress or (lambda _: None)
        return await errors_to_output(
            self._package(request, context, dockerfile, tell),
            lambda error: ModelContainerPackageOutput(
                **failure(error),
                container_name=request.container_name,
                image_tag=request.image_tag,
                correlation_id=request.correlation_id,
            ),
        )

    async def _package(
        self, request: ModelContainerPackageInput, context: Path, dockerfile: str, tell: ProgressCallback
    ) -> ModelContainerPackageOutput:
        resources, settings = self._resources, self._resources.settings
        reference = f"{request.container_name}:{request.image_tag}"
        with resources.metrics.span("builds", reference) as span:
            engine = await resources.engine()
            builder: ImageBuilder = engine
            with span.stage("build"):
                image_id = await builder.build(
                    BuildRequest(
                        context=context,
                        dockerfile=dockerfile,
                        reference=reference,
                        build_args=request.build_args,
                        target=request.target,
                        platform=request.platform,
                        labels=request.labels,
                        no_cache=request.no_cache,
                    ),
                    lambda line: tell(Progress(stage="build", line=line)),
                )
            platform = await _platform(engine, image_id, reference, request.platform)
            verify = request.verify_checksum
            built = _Built(
                reference=reference,
                image_id=image_id,
                platform=platform,
                compression=request.compression or settings.compression,
                verify_checksum=settings.verify_checksums if verify is None else verify,
                request=request,
                span=span,
                exporting=Span(),
            )
            manifest, path = await self._keep(built, tell)
        resources.metrics.add("total_bytes_packaged", manifest.size_bytes)
        return _output(manifest, path, span)

    async def _keep(self, built: _Built, tell: ProgressCallback) -> tuple["PackageManifest", Path]:
        """Export into the store; what a cancelled caller will never hear of does not stay."""
        source: ImageSource = await self._resources.engine()
        store = await self._resources.store()
        max_bytes = self._resources.settings.max_package_size_bytes
        on_bytes = _told_on_loop(tell)
        kept: list[tuple[PackageManifest, Path]] = []

        def consume(chunks: Iterator[bytes]) -> None:
            built.span.stages_ms["export_wait"] = built.exporting.elapsed_ms
            kept.append(_export_into(store, built, chunks, max_bytes, on_bytes))

        try:
            await source.export(built.reference, consume)
        except asyncio.CancelledError:
            for manifest, _ in kept:
                await run_in_thread(_undo, store, manifest.package_id)
            raise
        return kept[0]


async def _platform(source: ImageSource, image_id: str, reference: str, asked: str | None) -> str | None:
    """Return what an image is for, and insist that it is what was asked for.

    The build cache of the classic builder (Docker 20.10) answers `--platform linux/amd64` with an image for
    linux/arm64 that was built from the same lines before.
    """
    facts = await source.inspect(image_id)
    if facts is None:  # it is gone again; the export will tell what is there in its place
        return None
    found = facts.platform
    if asked is not None and not Platform.parse(found or "").satisfies(Platform.parse(asked)):
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"{reference} was to be built for {asked}, and the image that came out is for {found}",
            recovery="Package again with no_cache: the engine's build cache may hold steps of the other platform. If it"
            f" stays so, see that each FROM names an image for {asked}.",
        )
    return found


def _undo(store: "PackageStore", package_id: str) -> None:
    try:
        store.remove(package_id)
    except DeploymentSenderError as error:  # a cancellation stays one
        _log.warning("package %s of a cancelled call could not be removed: %s", package_id, error.message)


def _told_on_loop(tell: ProgressCallback) -> Callable[[int], None]:
    """Make a callback for a worker thread that tells the export's progress on the loop, now and then."""
    loop = asyncio.get_running_loop()
    told = 0

    def on_bytes(done: int) -> None:
        nonlocal told
        if done - told >= _PROGRESS_EVERY_BYTES:
            told = done
            loop.call_soon_threadsafe(tell, Progress(stage="export", done_bytes=done))

    return on_bytes


def _told(chunks: Iterator[bytes], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        on_bytes(done)
        yield chunk


def _export_into(
    store: "PackageStore", built: _Built, chunks: Iterator[bytes], max_bytes: int, on_bytes: Callable[[int], None]
) -> tuple["PackageManifest", Path]:
    """Run in a worker thread: from the engine's chunks to a committed package; whatever fails leaves nothing."""
    from ..package.pack import pack  # noqa: PLC0415 - loaded where it is used, in a thread

    with store.begin(built.compression) as staged:
        try:
            packed = pack(
                _told(chunks, on_bytes),
                staged.file,
                compression=built.compression,
                max_bytes=max_bytes,
                span=built.span,
            )
        except ArchiveCutShortError as exc:  # the connection ended, and among zeros the client cannot tell where
            raise DeploymentSenderError(
                ErrorCode.DOCKER_UNAVAILABLE, f"the image {built.reference} could not be exported: {exc}"
            ) from exc
        except ArchiveError as exc:
            raise DeploymentSenderError(
                ErrorCode.BUILD_FAILED, f"the engine's export is no image archive: {exc}"
            ) from exc
        _check_identity(packed.archive, built)
        manifest = _manifest(staged.entry_id, staged.filename, built, packed)
        with built.span.stage("commit"):
            return manifest, store.commit(staged, manifest)


def _check_identity(archive: "ImageArchive", built: _Built) -> None:
    if not (archive.names(built.reference) and archive.is_image(built.image_id)):
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED,
            f"{built.reference} named another image when it was exported than the one that was built",
            recovery="Another build moved the tag meanwhile: package again, or give each build a tag of its own.",
            retry=True,
        )


def _manifest(package_id: str, filename: str, built: _Built, packed: "Packed") -> "PackageManifest":
    from ..package.manifest import LayerFacts, PackageManifest  # noqa: PLC0415 - loaded where it is used, in a thread

    return PackageManifest(
        package_id=package_id,
        container_name=built.request.container_name,
        image_tag=built.request.image_tag,
        image_id=built.image_id,
        config_digest=packed.archive.config_digest,
        platform=built.platform,
        layers=tuple(LayerFacts(diff_id=layer.diff_id, size_bytes=layer.size_bytes) for layer in packed.archive.layers),
        compression=built.compression,
        filename=filename,
        size_bytes=packed.size_bytes,
        exported_bytes=packed.archive.size_bytes,
        checksum=packed.checksum,
        verify_checksum=built.verify_checksum,
        correlation_id=built.request.correlation_id,
        created_at=datetime.now(UTC),
        build_duration_ms=built.span.stages_ms["build"],
        export_duration_ms=built.exporting.elapsed_ms,
    )


def _output(manifest: "PackageManifest", path: Path, span: Span) -> ModelContainerPackageOutput:
    return ModelContainerPackageOutput(
        success=True,
        correlation_id=manifest.correlation_id,
        container_name=manifest.container_name,
        image_tag=manifest.image_tag,
        package_id=manifest.package_id,
        image_id=manifest.image_id,
        platform=manifest.platform,
        package_path=str(path),
        package_checksum=manifest.checksum,
        package_size_bytes=manifest.size_bytes,
        package_size_mb=manifest.size_bytes / 1_000_000,
        compression=manifest.compression,
        compression_ratio=manifest.size_bytes / manifest.exported_bytes,
        build_duration_ms=manifest.build_duration_ms,
        export_duration_ms=manifest.export_duration_ms,
        stages_ms=span.stages_ms,
    )
