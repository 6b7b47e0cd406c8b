"""Handler of `package_container`: builds an image, then keeps the engine's export of it as a package."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..concurrency import run_in_thread
from ..errors import BuildError, ErrorCode, OperationError
from ..lazy_import import lazy_module, load
from ..models import ModelContainerPackageInput, ModelContainerPackageOutput
from ..models.platform import Platform
from ..ports import BuildRequest, ImageBuilder, ImageSource, Progress, ProgressCallback
from ..resources import Resources
from ..telemetry.metrics import Span
from .build_context import check_context
from .outcome import errors_to_output, failure

if TYPE_CHECKING:
    from ..package.manifest import PackageManifest
    from ..store.packages import PackageStore
    from . import image_export
else:
    image_export = lazy_module(".image_export", __package__)

__all__ = ["PackageContainerHandler"]

_log = logging.getLogger(__name__)
# 8 MB: an export of 1.6 GB/s, the fastest measured, reports 200 times a second; a progress bar needs no more.
_PROGRESS_EVERY_BYTES = 8_000_000


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
            on_progress: Called on the event loop's thread with each line of the build log and with exported bytes.

        Returns:
            The package, or the failure: DOCKER_UNAVAILABLE, BUILD_FAILED, PACKAGE_TOO_LARGE.

        Raises:
            InvalidInputError: The request is wrong; the engine was not used.
        """
        context, dockerfile = await run_in_thread(check_context, request.build_context, request.dockerfile_path)
        await self._resources.store()  # raises if there is no folder for it
        return await errors_to_output(
            self._package(request, context, dockerfile, on_progress or (lambda _: None)),
            lambda error: ModelContainerPackageOutput(
                **failure(error),
                container_name=request.container_name,
                image_tag=request.image_tag,
                correlation_id=request.correlation_id,
            ),
            storage=ErrorCode.BUILD_FAILED,
        )

    async def _package(
        self, request: ModelContainerPackageInput, context: Path, dockerfile: str, on_progress: ProgressCallback
    ) -> ModelContainerPackageOutput:
        resources = self._resources
        await load(image_export)
        with resources.metrics.span("builds", f"{request.container_name}:{request.image_tag}") as span:
            image = await self._build(request, context, dockerfile, span, on_progress)
            manifest, path = await self._keep(image, on_progress)
        resources.metrics.add("total_bytes_packaged", manifest.size_bytes)
        return _output(manifest, path, span)

    async def _build(
        self,
        request: ModelContainerPackageInput,
        context: Path,
        dockerfile: str,
        span: Span,
        on_progress: ProgressCallback,
    ) -> "image_export.BuiltImage":
        engine, settings = await self._resources.engine(), self._resources.settings
        builder: ImageBuilder = engine
        reference = f"{request.container_name}:{request.image_tag}"
        with span.stage("build"):
            engine_image_id = await builder.build(
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
                lambda line: on_progress(Progress(stage="build", line=line)),
            )
        verify = request.verify_checksum
        return image_export.BuiltImage(
            request=request,
            reference=reference,
            engine_image_id=engine_image_id,
            platform=await _platform(engine, engine_image_id, reference, request.platform),
            compression=request.compression or settings.compression,
            verify_checksum=settings.verify_checksums if verify is None else verify,
            span=span,
            exporting=Span(),
        )

    async def _keep(
        self, image: "image_export.BuiltImage", on_progress: ProgressCallback
    ) -> "tuple[PackageManifest, Path]":
        """Export into the store; if the caller was cancelled, the package is removed: no caller would know its id."""
        source: ImageSource = await self._resources.engine()
        store = await self._resources.store()
        max_bytes = self._resources.settings.max_package_size_bytes
        on_bytes = _report_on_loop(on_progress)
        kept: list[tuple[PackageManifest, Path]] = []

        def consume(chunks: Iterator[bytes]) -> None:
            image.span.stages_ms["export_wait"] = image.exporting.elapsed_ms
            kept.append(image_export.keep_image(store, image, chunks, max_bytes=max_bytes, on_bytes=on_bytes))

        try:
            await source.export(image.reference, consume)
        except asyncio.CancelledError:
            for manifest, _ in kept:
                await run_in_thread(_remove_cancelled, store, manifest.package_id)
            raise
        return kept[0]


async def _platform(source: ImageSource, engine_image_id: str, reference: str, requested: str | None) -> str | None:
    """Return the platform of an image; fail if another one was requested.

    The build cache of the classic builder (Docker 20.10) returns for `--platform linux/amd64` an image for linux/arm64
    that was built from the same lines before.
    """
    facts = await source.inspect(engine_image_id)
    if facts is None:  # the image was removed again; the export will fail, or find another one
        return None
    found = facts.platform
    if requested is not None and not Platform.parse(found or "").satisfies(Platform.parse(requested)):
        raise BuildError(
            f"{reference} was requested for {requested}, but the engine built an image for {found}",
            recovery="Package again with no_cache: the build cache may hold steps of the other platform. If the error"
            f" returns, check that each FROM names an image for {requested}.",
        )
    return found


def _remove_cancelled(store: "PackageStore", package_id: str) -> None:
    try:
        store.remove(package_id)
    except OperationError as error:  # the cancellation goes on nevertheless
        _log.warning("cannot remove package %s of a cancelled call: %s", package_id, error.message)


def _report_on_loop(on_progress: ProgressCallback) -> Callable[[int], None]:
    """Return a callback for a worker thread that reports the export's progress on the loop at intervals."""
    loop = asyncio.get_running_loop()
    reported = 0

    def on_bytes(done: int) -> None:
        nonlocal reported
        if done - reported >= _PROGRESS_EVERY_BYTES:
            reported = done
            loop.call_soon_threadsafe(on_progress, Progress(stage="export", done_bytes=done))

    return on_bytes


def _output(manifest: "PackageManifest", path: Path, span: Span) -> ModelContainerPackageOutput:
    return ModelContainerPackageOutput(
        success=True,
        correlation_id=manifest.correlation_id,
        container_name=manifest.container_name,
        image_tag=manifest.image_tag,
        package_id=manifest.package_id,
        image_id=manifest.engine_image_id,
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
