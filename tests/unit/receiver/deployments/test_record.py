"""The record of one deployment, and its document on disk."""

import json
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.documents import NewerDocumentError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from support.receiver.records import new_deployment

# Written by the last version of the receiver whose documents had no schema number.
WITHOUT_SCHEMA: dict[str, Any] = {
    "deployment_id": "5d1c6c55-93a4-4f0b-8f0e-2f2b8a4b7a10",
    "package_id": "0a6f3d4e-5b7c-4d8e-9f00-112233445566",
    "checksum": "abababababababababababababababababababababababababababababababab",
    "size_bytes": 4,
    "container_name": "team/hello",
    "image_tag": "1.0",
    "compression": "gzip",
    "announced_image_id": "sha256:1111111111111111111111111111111111111111111111111111111111111111",
    "correlation_id": "deploy-001",
    "platform": "linux/amd64",
    "received_at": "2026-11-28T01:20:12.765962+00:00",
    "updated_at": "2026-11-28T01:20:12.767361+00:00",
    "sequence": 1,
    "status": "running",
    "start_pending": False,
    "image_id": "sha256:2222222222222222222222222222222222222222222222222222222222222222",
    "container_id": "3333333333333333333333333333333333333333333333333333333333333333",
    "container_status": "running",
    "exit_code": None,
    "oom_killed": False,
    "restart_count": 0,
    "health": "healthy",
    "warnings": ["the old container was killed"],
    "error_code": None,
    "error_message": None,
}


def new() -> Deployment:
    """Return the record of a package that has just arrived."""
    return new_deployment(size_bytes=4, image_id=f"sha256:{'1' * 64}", correlation_id="deploy-001")


def encoded(document: dict[str, Any]) -> bytes:
    """Return a document as it is on disk."""
    return json.dumps(document).encode()


def test_a_new_deployment_is_received() -> None:
    """Its record has what the sender announced, and nothing of an engine."""
    deployment = new()

    assert ("hello:1.0", 4, f"sha256:{'1' * 64}", "deploy-001") == (
        deployment.reference,
        deployment.identity.size_bytes,
        deployment.announced_digest,
        deployment.correlation_id,
    )
    assert ("received", None, None) == (deployment.status, deployment.loaded_image_id, deployment.container_id)


def test_a_document_without_a_schema_number_is_read() -> None:
    """Earlier versions of the receiver wrote none."""
    deployment = Deployment.from_document(encoded(WITHOUT_SCHEMA))

    assert deployment.identity == PackageIdentity(
        package_id="0a6f3d4e-5b7c-4d8e-9f00-112233445566",
        checksum="ab" * 32,
        container_name="team/hello",
        image_tag="1.0",
        size_bytes=4,
        compression="gzip",
        platform="linux/amd64",
    )
    assert (f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", "running", 1) == (
        deployment.announced_digest,
        deployment.loaded_image_id,
        deployment.status,
        deployment.sequence,
    )


def test_a_document_keeps_its_keys() -> None:
    """So that an earlier version of the receiver reads it; the schema number is the only new key."""
    deployment = Deployment.from_document(encoded(WITHOUT_SCHEMA))

    assert {"schema_version": 1, **WITHOUT_SCHEMA} == json.loads(json.dumps(deployment.to_document()))


def test_a_document_is_read_as_it_was_written() -> None:
    """Every field of the record is in it."""
    deployment = new()

    assert deployment == Deployment.from_document(encoded(deployment.to_document()))


def test_the_document_of_a_newer_receiver_is_refused() -> None:
    """Its keys may mean something else; the message says what to do."""
    with pytest.raises(NewerDocumentError, match=r"schema 2; this version reads up to 1\); update this receiver"):
        Deployment.from_document(encoded(WITHOUT_SCHEMA | {"schema_version": 2}))


@pytest.mark.parametrize("missing", ["package_id", "checksum", "deployment_id", "received_at"])
def test_a_document_without_a_necessary_key_is_refused(missing: str) -> None:
    """It is not the document of a deployment."""
    with pytest.raises(ValueError, match=missing):
        Deployment.from_document(encoded({key: value for key, value in WITHOUT_SCHEMA.items() if key != missing}))


@pytest.mark.parametrize(
    ("status", "run", "will_run"),
    [
        ("received", True, True),
        ("received", False, False),
        ("loaded", True, False),
        ("running", False, True),
        ("replaced", True, False),
        ("failed", True, False),
    ],
)
def test_will_run_follows_the_setting_until_the_deployment_has_finished(
    *, status: str, run: bool, will_run: bool
) -> None:
    """Afterwards it says whether the container was started."""
    assert will_run is new().model_copy(update={"status": status}).body(run=run).will_run


def test_the_response_has_the_public_fields_only() -> None:
    """By the names of the protocol."""
    deployment = new()

    assert {
        "deployment_id": "d",
        "status": "received",
        "will_run": False,
        "package_id": deployment.identity.package_id,
        "checksum": "0" * 64,
        "checksum_verified": True,
        "container_name": "hello",
        "image_tag": "1.0",
        "correlation_id": "deploy-001",
        "received_at": deployment.received_at,
        "updated_at": deployment.updated_at,
        "warnings": (),
    } == deployment.body(run=False).model_dump(exclude_none=True, by_alias=True)
    loaded = deployment.model_copy(update={"status": "loaded", "loaded_image_id": "sha256:2"}).body(run=False)
    assert "sha256:2" == loaded.model_dump(by_alias=True)["image_id"]
