"""What an engine refuses, in its own words; those about space become advice."""

from ...errors import EngineRefusedError, EngineUnavailableError, ErrorCode, OperationError

__all__ = ["about_space", "engine_error", "refused"]

_NO_SPACE = "no space left on device"  # strerror(3) of ENOSPC, and in lower case that of Go's syscall package
_ABOUT_SPACE = (
    "Make room on the disk of the Docker Engine (`docker system df` shows what takes it, `docker system prune` removes"
    " what nobody uses), then call again."
)


def engine_error(code: ErrorCode) -> type[OperationError]:
    """Return the type of the error for an engine that is unavailable, or that refuses."""
    return EngineUnavailableError if code is ErrorCode.DOCKER_UNAVAILABLE else EngineRefusedError


def about_space(text: str) -> str | None:
    """Tell what to do if a text of the engine's says that its disk is full."""
    return _ABOUT_SPACE if _NO_SPACE in text.lower() else None


def refused(engine: str, task: str, words: str, code: ErrorCode = ErrorCode.BUILD_FAILED) -> OperationError:
    """Make the error for what an engine refused, in its own words; a full disk is told to be the engine's.

    Args:
        engine: `Endpoint.engine`: what responds, and where.
        task: The message's beginning.
        words: The engine's.
        code: The error's.
    """
    recovery = about_space(words)
    whose = f"the disk of the {engine} is full: " if recovery else ""
    return engine_error(code)(f"{task}: {whose}{words}", recovery=recovery)
