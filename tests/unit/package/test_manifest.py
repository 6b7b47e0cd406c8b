"""The manifest of a package, as JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import PackageManifest

_DIGEST = f"sha256:{'a' * 64}"
_VALUES: dict[str, Any] = {
    "package_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "container_name": "hello",
    "image_tag": "1.0",
    "image_id": _DIGEST,
    "config_digest": _DIGEST,
    "layers": [{"diff_id": _DIGEST, "size_bytes": 1}],
    "compression": "gzip",
    "filename": "image.tar.gz",
    "size_bytes": 10,
    "exported_bytes": 20,
    "checksum": "b" * 64,
    "verify_checksum": True,
    "correlation_id": None,
    "created_at": datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
    "build_duration_ms": 1.5,
    "export_duration_ms": 2.5,
}


def test_round_trip() -> None:
    """A manifest is read as it was written."""
    manifest = PackageManifest(**_VALUES)

    assert manifest == PackageManifest.from_json(manifest.to_json())


def test_times_are_rfc_3339_in_utc() -> None:
    """A time of another zone is written in UTC."""
    zone = timezone(timedelta(hours=2))
    manifest = PackageManifest(**_VALUES | {"created_at": datetime(2026, 1, 2, 5, 4, 5, tzinfo=zone)})

    assert json.loads(manifest.to_json())["created_at"] == "2026-01-02T03:04:05Z"


def test_unknown_keys_are_passed_over() -> None:
    """A manifest of a later release is read."""
    manifest = PackageManifest(**_VALUES)
    data = json.loads(manifest.to_json()) | {"later": 1}

    assert manifest == PackageManifest.from_json(json.dumps(data).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"filename": "../../etc/passwd"},
        {"size_bytes": -1},
        {"checksum": "x"},
        {"package_id": "x"},
        {"created_at": "2026-01-02T03:04:05"},
        {"layers": [{"diff_id": "x", "size_bytes": 1}]},
    ],
)
def test_refused(change: dict[str, Any]) -> None:
    """A manifest that breaks a rule is not read."""
    data = json.loads(PackageManifest(**_VALUES).to_json()) | change

    with pytest.raises(ValueError, match="PackageManifest"):
        PackageManifest.from_json(json.dumps(data).encode())


def test_a_manifest_without_a_platform_is_read() -> None:
    """Earlier versions wrote none."""
    data = json.loads(PackageManifest(**_VALUES, platform="linux/arm64").to_json())
    read = PackageManifest.from_json(json.dumps(data).encode())
    del data["platform"]

    assert ("linux/arm64", None) == (read.platform, PackageManifest.from_json(json.dumps(data).encode()).platform)
