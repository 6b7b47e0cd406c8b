"""A package in a store, made as `package_container` makes it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore

__all__ = ["keep_package"]


def keep_package(folder: Path, content: bytes, **changes: Any) -> tuple[PackageManifest, Path]:
    """Put a package into the store of a folder.

    Args:
        folder: The store's.
        content: The package file's bytes; they need not be an image's.
        changes: Other values for fields of the manifest.

    Returns:
        The manifest, and the package file's path.
    """
    store = PackageStore(folder)
    with store.begin("gzip") as staged:
        staged.file.write(content)
        values = {
            "package_id": staged.entry_id,
            "container_name": "hello",
            "image_tag": "1.0",
            "engine_image_id": "sha256:" + "ab" * 32,
            "config_digest": "sha256:" + "cd" * 32,
            "layers": (),
            "compression": "gzip",
            "filename": staged.filename,
            "size_bytes": len(content),
            "exported_bytes": len(content),
            "checksum": blake3(content).hexdigest(),
            "verify_checksum": True,
            "correlation_id": "build-001",
            "created_at": datetime.now(UTC),
            "build_duration_ms": 1.0,
            "export_duration_ms": 1.0,
        }
        manifest = PackageManifest.model_validate(values | changes)
        return manifest, store.commit(staged, manifest)
