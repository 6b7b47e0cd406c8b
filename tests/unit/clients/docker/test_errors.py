"""The errors of an engine: its own messages, and a full disk."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.errors import (
    full_disk_advice,
    refusal,
    reworded,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    BuildError,
    EngineRefusedError,
    EngineUnavailableError,
    StorageFullError,
)

FULL = "Error processing tar file(exit status 1): write /large: no space left on device"


def test_a_refusal_has_the_engines_message() -> None:
    """It has the type that was wanted, and the advice that this type has by itself."""
    error = refusal(
        "Docker Engine at unix:///x", "The image could not be built", "unknown instruction: FRM", BuildError
    )

    assert (BuildError, "The image could not be built: unknown instruction: FRM") == (type(error), error.message)
    assert BuildError("x").recovery == error.recovery


@pytest.mark.parametrize("kind", [EngineRefusedError, EngineUnavailableError])
def test_a_full_disk_is_reported_as_the_engines(
    kind: type[EngineRefusedError] | type[EngineUnavailableError],
) -> None:
    """The message names the engine, the recovery says how to free space there."""
    error = refusal("Docker Engine at tcp://build:2375", "The image could not be loaded", FULL, kind)

    assert f"The image could not be loaded: the disk of the Docker Engine at tcp://build:2375 is full: {FULL}" == (
        error.message
    )
    assert (kind, True) == (type(error), "docker system prune" in error.recovery)


def test_the_advice_is_for_full_disks_only() -> None:
    """The engine or a step of the build may have written the message."""
    assert (None, False) == (full_disk_advice("exit code 1"), full_disk_advice("dd: No space left on device") is None)


def test_a_reworded_error_keeps_its_type_and_advice() -> None:
    """It has no cause: that one holds the words which were replaced."""
    error = StorageFullError("secret", recovery="free space", retry=True, retry_after=3)
    error.__cause__ = OSError("secret")
    other = reworded(error, "***")

    assert (StorageFullError, "***", "free space") == (type(other), other.message, other.recovery)
    assert (True, 3, None) == (other.retry, other.retry_after, other.__cause__)
    assert "other" == reworded(error, "***", "other").recovery
