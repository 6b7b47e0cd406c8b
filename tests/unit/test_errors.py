"""The table of public codes, and the types that lead to them."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ERRORS,
    ChecksumMismatchError,
    DeploymentSenderError,
    ErrorCode,
    InvalidInputError,
    OperationError,
    PackageDamagedError,
    PackageNotFoundError,
    PackageTooNewError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    TransferError,
    to_public,
)


def test_the_table_has_a_row_for_every_code_in_order() -> None:
    """Every code has a meaning and a recovery."""
    assert list(ErrorCode) == list(ERRORS)


def test_the_codes_are_exactly_the_promised_eight() -> None:
    """Callers compare with these words."""
    assert {
        "BUILD_FAILED",
        "TRANSFER_FAILED",
        "REMOTE_UNREACHABLE",
        "DOCKER_UNAVAILABLE",
        "CHECKSUM_MISMATCH",
        "PACKAGE_TOO_LARGE",
        "KAFKA_PUBLISH_FAILED",
        "VALIDATION_ERROR",
    } == {code.value for code in ErrorCode}


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_takes_what_it_is_not_given_from_the_table(code: ErrorCode) -> None:
    """Recovery and retry are defined in one place."""
    error = DeploymentSenderError(code, "what happened")

    assert (ERRORS[code].recovery, ERRORS[code].retry) == (error.recovery, error.retry)


def test_an_error_may_have_its_own_advice() -> None:
    """Where the error is raised, a better next step may be known."""
    error = DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED, "busy", recovery="Wait a minute.", retry=True, retry_after=3.0
    )

    assert ("Wait a minute.", True, 3.0, "TRANSFER_FAILED: busy") == (
        error.recovery,
        error.retry,
        error.retry_after,
        str(error),
    )


def _all_types(type_: type[OperationError]) -> set[type[OperationError]]:
    return {type_, *(found for one in type_.__subclasses__() for found in _all_types(one))}


def test_every_type_has_one_of_the_codes() -> None:
    """Also the types that other modules derive."""
    assert {type_.public_code for type_ in _all_types(OperationError) - {OperationError}} == set(ErrorCode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("x"), ErrorCode.VALIDATION_ERROR),
        (PackageNotFoundError("x"), ErrorCode.VALIDATION_ERROR),
        (TransferError("x"), ErrorCode.TRANSFER_FAILED),
        (ChecksumMismatchError("x"), ErrorCode.CHECKSUM_MISMATCH),
        (PackageDamagedError("x"), ErrorCode.CHECKSUM_MISMATCH),
        (StorageError("x"), ErrorCode.KAFKA_PUBLISH_FAILED),
        (StorageFullError("x"), ErrorCode.KAFKA_PUBLISH_FAILED),
        (StorageBusyError("x"), ErrorCode.KAFKA_PUBLISH_FAILED),
        (PackageTooNewError("x"), ErrorCode.KAFKA_PUBLISH_FAILED),
    ],
)
def test_the_type_chooses_the_code(error: OperationError, code: ErrorCode) -> None:
    """For a storage error it is that of the operation that failed."""
    assert code is to_public(error, storage=ErrorCode.KAFKA_PUBLISH_FAILED).code


def test_the_public_error_has_the_same_facts() -> None:
    """Only the type is lost."""
    error = TransferError("busy", recovery="Wait a minute.", retry=False, retry_after=3.0)

    public = to_public(error, storage=ErrorCode.BUILD_FAILED)

    assert ("busy", "Wait a minute.", False, 3.0) == (
        public.message,
        public.recovery,
        public.retry,
        public.retry_after,
    )


def test_a_public_error_stays_as_it_is() -> None:
    """A program's own clients may raise it."""
    error = DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "x")

    assert error is to_public(error, storage=ErrorCode.BUILD_FAILED)


def test_a_storage_error_has_advice_for_any_operation() -> None:
    """The table's sentence is about a build."""
    assert "Check the disk that the message names, then call again." == StorageError("x").recovery
