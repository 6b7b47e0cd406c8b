"""The manifest of a package, as JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import (
    NewerManifestError,
    PackageManifest,
)

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

    assert "2026-01-02T03:04:05Z" == json.loads(manifest.to_json())["created_at"]


def test_unknown_keys_are_ignored() -> None:
    """A later release may add keys without a new schema version."""
    manifest = PackageManifest(**_VALUES)
    data = json.loads(manifest.to_json()) | {"later": 1}

    assert manifest == PackageManifest.from_json(json.dumps(data).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 0},
        {"schema_version": "x"},
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

    with pytest.raises(ValueError, match="validation error"):
        PackageManifest.from_json(json.dumps(data).encode())


def test_a_manifest_without_a_platform_is_read() -> None:
    """Earlier versions did not write it."""
    data = json.loads(PackageManifest(**_VALUES, platform="linux/arm64").to_json())
    read = PackageManifest.from_json(json.dumps(data).encode())
    del data["platform"]

    assert ("linux/arm64", None) == (read.platform, PackageManifest.from_json(json.dumps(data).encode()).platform)


# manifest.json as it was written by the version before `PackageIdentity`: `examples/hello` on Docker Engine 20.10.
_EARLIER = b"""{
  "schema_version": 1,
  "package_id": "3fde9ca2-977e-4ecb-b019-f5ae6f5b9cbe",
  "container_name": "hello",
  "image_tag": "1.0",
  "image_id": "sha256:0fb4b3276aa78a40da020f57f575be5048a3458e9ef7dc9fc194d8428a7a6aac",
  "config_digest": "sha256:0fb4b3276aa78a40da020f57f575be5048a3458e9ef7dc9fc194d8428a7a6aac",
  "layers": [
    {
      "diff_id": "sha256:9b4a2937945e1b2688fc50b4f5db8650af7114820da8cc6d18b8ada74fb111db",
      "size_bytes": 2129920
    },
    {
      "diff_id": "sha256:10c5477ba2a3a1f4d2ea4c1866aa4b8179b661b0f156c0ca2461008a24ca7041",
      "size_bytes": 1536
    },
    {
      "diff_id": "sha256:832df6f101e7b118ccd313a3277ac7484e466b9a82e48f3f2f3f35f521665114",
      "size_bytes": 3584
    }
  ],
  "platform": "linux/amd64",
  "compression": "gzip",
  "filename": "image.tar.gz",
  "size_bytes": 1146417,
  "exported_bytes": 2151424,
  "checksum": "94eba2faf5dd1bef5999ca977d67bb25457bec881181c37edf25cf992eec9020",
  "verify_checksum": true,
  "correlation_id": "build-001",
  "created_at": "2026-11-28T01:13:50.773961Z",
  "build_duration_ms": 553.2624940005917,
  "export_duration_ms": 85.0361310003791
}
"""


def test_an_earlier_versions_file_is_read_and_written_without_a_change() -> None:
    """Either version reads the packages of the other."""
    manifest = PackageManifest.from_json(_EARLIER)

    assert "sha256:0fb4b3276aa78a40da020f57f575be5048a3458e9ef7dc9fc194d8428a7a6aac" == manifest.engine_image_id
    assert _EARLIER == manifest.to_json()


def test_a_file_without_a_schema_version_has_the_first() -> None:
    """The version is the only new part of a file that has it."""
    without = _EARLIER.replace(b'  "schema_version": 1,\n', b"")

    assert PackageManifest.from_json(_EARLIER) == PackageManifest.from_json(without)


def test_a_newer_schema_version_is_refused_as_such() -> None:
    """The file is not damaged, whatever else it holds."""
    with pytest.raises(NewerManifestError, match="the manifest has schema version 2; this version reads 1"):
        PackageManifest.from_json(b'{"schema_version": 2, "layers": "elsewhere"}')


def test_the_identity_has_the_facts_of_the_manifest() -> None:
    """Code that needs only the identity gets it as one value."""
    expected = PackageIdentity(
        package_id="3fde9ca2-977e-4ecb-b019-f5ae6f5b9cbe",
        checksum="94eba2faf5dd1bef5999ca977d67bb25457bec881181c37edf25cf992eec9020",
        container_name="hello",
        image_tag="1.0",
        size_bytes=1146417,
        compression="gzip",
        config_digest="sha256:0fb4b3276aa78a40da020f57f575be5048a3458e9ef7dc9fc194d8428a7a6aac",
        platform="linux/amd64",
    )

    assert expected == PackageManifest.from_json(_EARLIER).identity
