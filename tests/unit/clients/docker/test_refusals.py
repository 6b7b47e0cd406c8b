"""What an engine refuses, and whose disk is full."""

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.refusals import about_space, refused
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS, ErrorCode

WORDS = "Error processing tar file(exit status 1): write /large: no space left on device"


def test_a_refusal_is_told_in_the_engines_words() -> None:
    """With the code and the table's advice."""
    error = refused("Docker Engine at unix:///x", "The image could not be built", "unknown instruction: FRM")

    assert "The image could not be built: unknown instruction: FRM" == error.message
    assert (ErrorCode.BUILD_FAILED, ERRORS[ErrorCode.BUILD_FAILED].recovery) == (error.code, error.recovery)


def test_a_full_disk_is_the_engines() -> None:
    """The message names the engine, the recovery says how to make room there."""
    error = refused(
        "Docker Engine at tcp://build:2375", "The image could not be loaded", WORDS, ErrorCode.DOCKER_UNAVAILABLE
    )

    assert f"The image could not be loaded: the disk of the Docker Engine at tcp://build:2375 is full: {WORDS}" == (
        error.message
    )
    assert (ErrorCode.DOCKER_UNAVAILABLE, True) == (error.code, "docker system prune" in error.recovery)


def test_advice_is_for_full_disks_only() -> None:
    """Whatever wrote the words: the engine or a step of the build."""
    assert (None, False) == (about_space("exit code 1"), about_space("dd: No space left on device") is None)
