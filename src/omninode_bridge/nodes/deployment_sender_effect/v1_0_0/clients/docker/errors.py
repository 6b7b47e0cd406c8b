"""Maps the exceptions of docker-py and the libraries below it to the types of `errors.py`; no other module does."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import TypeVar

from docker.errors import APIError, DockerException, StreamParseError
from requests import RequestException

from ...errors import EngineRefusedError, EngineUnavailableError, OperationError

__all__ = ["TunnelError", "engine_closed", "engine_errors", "full_disk_advice", "refusal", "reworded"]

E = TypeVar("E", bound=OperationError)

# Statuses of a proxy before the engine; an engine itself uses none of them.
_PROXY_STATUSES = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}

# OSError is the base of every exception of requests; http.client raises its own for responses that are cut short.
_CONNECTION_ERRORS = (StreamParseError, HTTPException, OSError)

_PERMISSION_ADVICE = (
    "Run this as a user who may use the engine's socket (usually a member of the group docker), or as root."
)

_NO_SPACE = "no space left on device"  # strerror(3) of ENOSPC, and in lower case that of Go's syscall package
_FULL_DISK_ADVICE = (
    "Free space on the disk of the Docker Engine (`docker system df` shows what uses it, `docker system prune` removes"
    " what is unused), then call again."
)


class TunnelError(Exception):
    """The program that carries a connection failed; `engine_errors` maps it.

    Args:
        message: Its error output.
        recovery: What to do next.
    """

    def __init__(self, message: str, recovery: str) -> None:
        super().__init__(message)
        self.recovery = recovery


@contextmanager
def engine_errors(engine: str, task: str, refused: type[OperationError] = EngineRefusedError) -> Iterator[None]:
    """Map what goes wrong between this process and the engine.

    Args:
        engine: `Endpoint.engine`.
        task: The beginning of the message, such as `The image hello:1.0 could not be built`.
        refused: The type for an engine that responds with an error.

    Raises:
        OperationError: Of the type `refused`, with the engine's own message.
        EngineUnavailableError: The engine does not respond, or the connection broke.
    """
    went_away = "" if refused is EngineUnavailableError else f"the {engine} went away: "
    try:
        yield
    except APIError as exc:
        kind = EngineUnavailableError if exc.status_code in _PROXY_STATUSES else refused
        # Not str(exc): that holds the URL, with every build argument.
        message = exc.explanation or f"the engine responded with status {exc.status_code}"
        raise refusal(engine, task, message, kind) from exc
    except DockerException as exc:
        raise refused(f"{task}: {exc}") from exc
    except TunnelError as exc:
        raise EngineUnavailableError(f"{task}: {went_away}{exc}", recovery=exc.recovery) from exc
    except _CONNECTION_ERRORS as exc:
        cause = _first_cause(exc)
        recovery = _PERMISSION_ADVICE if isinstance(cause, PermissionError) else None
        raise EngineUnavailableError(f"{task}: {went_away}{_reason(cause)}", recovery=recovery) from exc


def refusal(engine: str, task: str, message: str, kind: type[E]) -> E:
    """Return the error for a message of the engine's; a full disk is reported as the engine's disk.

    Args:
        engine: `Endpoint.engine`.
        task: The beginning of the message.
        message: The engine's own.
        kind: The type of the error.
    """
    recovery = full_disk_advice(message)
    whose = f"the disk of the {engine} is full: " if recovery else ""
    return kind(f"{task}: {whose}{message}", recovery=recovery)


def full_disk_advice(text: str) -> str | None:
    """Return what to do next if a text of the engine's reports a full disk; else None."""
    return _FULL_DISK_ADVICE if _NO_SPACE in text.lower() else None


def reworded(error: E, message: str, recovery: str | None = None) -> E:
    """Return an error of the same type with another message; it has neither cause nor context."""
    return type(error)(message, recovery=recovery or error.recovery, retry=error.retry, retry_after=error.retry_after)


def engine_closed() -> EngineUnavailableError:
    """Return the error of a call to an engine that was closed."""
    return EngineUnavailableError("The connection to the Docker Engine was closed.")


def _first_cause(exc: BaseException) -> BaseException:
    """Find the exception of the system or the protocol; the texts of the libraries above them hold URLs."""
    first, link = exc, exc.__cause__ or exc.__context__
    while link is not None:
        if isinstance(link, OSError | HTTPException) and not isinstance(link, RequestException):
            first = link
        link = link.__cause__ or link.__context__
    return first


def _reason(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "it was silent for too long"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
