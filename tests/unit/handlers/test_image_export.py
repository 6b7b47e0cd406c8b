"""The export of an engine becomes a package of the store, or leaves nothing."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import BuildError, EngineUnavailableError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.image_export import BuiltImage, keep_image
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelContainerPackageInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Span
from support.archives.archives import config_of, image_archive, layer, sha256

LAYERS = (layer(hello=b"hello"),)
ARCHIVE = image_archive("oci", "hello:1.0", layers=LAYERS)


class Export:
    """Keeps an export in a store."""

    def __init__(self, folder: Path) -> None:
        self.store = PackageStore(folder)
        self.exported: list[int] = []
        self._folder = folder

    def keep(self, chunks: Iterable[bytes]) -> tuple[PackageManifest, Path]:
        """Keep an export of the image `hello:1.0`."""
        image = BuiltImage(
            request=ModelContainerPackageInput(
                container_name="hello", image_tag="1.0", build_context="/context", correlation_id="c-1"
            ),
            reference="hello:1.0",
            engine_image_id=f"sha256:{sha256(config_of(LAYERS))}",
            platform="linux/amd64",
            compression="gzip",
            verify_checksum=True,
            span=Span(stages_ms={"build": 1.0}),
            exporting=Span(),
        )
        return keep_image(self.store, image, iter(chunks), max_bytes=1_000_000, on_bytes=self.exported.append)

    def files(self) -> list[Path]:
        """Return every file of the store."""
        return [path for path in self._folder.rglob("*") if path.is_file()]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Make an empty store."""
    return Export(tmp_path)


def test_the_package_holds_the_export(export: Export) -> None:
    """It is in the store when the function returns, and the exported bytes were reported."""
    manifest, path = export.keep([ARCHIVE[:2000], ARCHIVE[2000:]])

    assert [manifest] == export.store.list()
    assert ARCHIVE == gzip.decompress(path.read_bytes())
    assert [2000, len(ARCHIVE)] == export.exported


def test_the_manifest_has_the_facts_of_the_image(export: Export) -> None:
    """The digest and the layers come from the archive, the other facts from the build."""
    manifest, _ = export.keep([ARCHIVE])

    digest = f"sha256:{sha256(config_of(LAYERS))}"
    assert (digest, digest) == (manifest.engine_image_id, manifest.config_digest)
    assert [f"sha256:{sha256(one)}" for one in LAYERS] == [one.diff_id for one in manifest.layers]
    assert ("linux/amd64", "c-1", True, 1.0) == (
        manifest.platform,
        manifest.correlation_id,
        manifest.verify_checksum,
        manifest.build_duration_ms,
    )


def test_an_export_that_ends_early_is_a_failure_of_the_engine(export: Export) -> None:
    """The connection ended; a later call may succeed."""
    with pytest.raises(EngineUnavailableError, match=r"hello:1\.0 could not be exported") as caught:
        export.keep([ARCHIVE[:2000]])

    assert caught.value.retry
    assert [] == export.files()


def test_an_export_that_is_not_an_image_archive_is_refused(export: Export) -> None:
    """The store keeps only packages that a receiver can load."""
    with pytest.raises(BuildError, match="the engine's export is not an image archive"):
        export.keep([b"\0" * 20_000])

    assert [] == export.files()


def test_the_image_of_another_build_is_refused(export: Export) -> None:
    """Another build may have used the tag between the build and the export."""
    with pytest.raises(BuildError, match="named another image during the export") as caught:
        export.keep([image_archive("oci", "hello:1.0", layers=(layer(hello=b"another"),))])

    assert caught.value.retry
    assert [] == export.files()
