"""The public codes of failed deployments."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    EngineRefusedError,
    EngineUnavailableError,
    InvalidInputError,
    PackageDamagedError,
    PackageTooLargeError,
    StorageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.failures import (
    ContainerError,
    LoadTimeoutError,
    failure,
    is_container_failure,
    is_package_damaged,
    is_unexpected,
    loss,
    waiting,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.record import Deployment
from support.receiver.records import new_deployment


def with_changes(changes: dict[str, object]) -> Deployment:
    """Return a record after some changes."""
    return new_deployment().model_copy(update=changes)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnavailableError("no engine"), "DOCKER_UNAVAILABLE"),
        (LoadTimeoutError("too slow"), "DOCKER_UNAVAILABLE"),
        (EngineRefusedError("refused"), "BUILD_FAILED"),
        (ContainerError("it ended"), "BUILD_FAILED"),
        (StorageError("full"), "BUILD_FAILED"),
        (InvalidInputError("wrong name"), "VALIDATION_ERROR"),
        (PackageTooLargeError("too large"), "PACKAGE_TOO_LARGE"),
        (PackageDamagedError("damaged"), "CHECKSUM_MISMATCH"),
        (OSError(5, "Input/output error"), "TRANSFER_FAILED"),
        (RuntimeError("defect"), "TRANSFER_FAILED"),
    ],
)
def test_every_error_has_a_public_code(error: Exception, code: str) -> None:
    """Whichever error ends a deployment, its record says `failed`, a code and a message."""
    deployment = with_changes(failure(error, hidden_folder="/store"))

    assert ("failed", code, False) == (deployment.status, deployment.error_code, deployment.start_pending)
    assert deployment.error_message


def test_the_path_of_the_store_is_not_public() -> None:
    """Senders need not know it."""
    error = FileNotFoundError(2, "No such file or directory", "/srv/store/packages/x")

    expected = "the stored package cannot be read: [Errno 2] No such file or directory: 'STORE/packages/x'"
    assert expected == failure(error, hidden_folder="/srv/store")["error_message"]


def test_a_deployment_that_waits_keeps_its_status() -> None:
    """Only the reason is recorded."""
    expected = {"error_code": "DOCKER_UNAVAILABLE", "error_message": "no engine"}
    assert expected == waiting(EngineUnavailableError("no engine"))


@pytest.mark.parametrize(
    ("error", "unexpected"),
    [(RuntimeError(), True), (KeyError(), True), (OSError(), False), (EngineRefusedError("x"), False)],
)
def test_a_defect_is_unexpected(error: Exception, *, unexpected: bool) -> None:
    """Its traceback belongs into the log; errors of the engine and of the disk do not."""
    assert unexpected is is_unexpected(error)


def test_only_a_failure_of_the_container_ends_with_its_recovery() -> None:
    """A package that is damaged stays failed, whatever its old container does."""
    of_container = [with_changes(loss("gone")), with_changes(failure(ContainerError("x"), hidden_folder="/s"))]
    others = [
        new_deployment(),
        with_changes(failure(ChecksumMismatchError("x"), hidden_folder="/s")),
        with_changes(failure(EngineUnavailableError("x"), hidden_folder="/s")),
    ]

    assert [True, True, False, False, False] == [is_container_failure(one) for one in of_container + others]


def test_a_damaged_package_is_known_by_its_record() -> None:
    """Also after a restart of the receiver."""
    damaged = with_changes(failure(PackageDamagedError("x"), hidden_folder="/s"))

    assert [True, False] == [is_package_damaged(damaged), is_package_damaged(with_changes(loss("gone")))]
