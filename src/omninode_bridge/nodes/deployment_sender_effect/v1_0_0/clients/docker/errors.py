"""What docker-py and the libraries below it raise becomes a `DeploymentSenderError` here, and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException

from docker.errors import APIError, DockerException, StreamParseError
from requests import RequestException

from ...errors import EngineUnavailableError, ErrorCode
from .refusals import engine_error, refused

__all__ = ["TunnelError", "translated"]

# Not the engine's word, but that of a proxy before it.
_FROM_A_PROXY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}

# OSError is the base of every exception of requests; http.client's come out of half-read responses.
_OF_THE_CONNECTION = (StreamParseError, HTTPException, OSError)

_ABOUT_PERMISSION = (
    "Run this as a user who may use the engine's socket (usually a member of the group docker), or as root."
)


class TunnelError(Exception):
    """The program that carries a connection has failed.

    Args:
        message: What it said.
        recovery: What to do about it.
    """

    def __init__(self, message: str, recovery: str) -> None:
        super().__init__(message)
        self.recovery = recovery


@contextmanager
def translated(engine: str, task: str, refusal: ErrorCode = ErrorCode.BUILD_FAILED) -> Iterator[None]:
    """Translate what goes wrong between us and the engine.

    Args:
        engine: `Endpoint.engine`.
        task: The message's beginning, such as `The image hello:1.0 could not be built`.
        refusal: The code for an engine that answers, with an error.

    Raises:
        DeploymentSenderError: `refusal` with the engine's own words, or DOCKER_UNAVAILABLE.
    """
    try:
        yield
    except APIError as exc:
        code = ErrorCode.DOCKER_UNAVAILABLE if exc.status_code in _FROM_A_PROXY else refusal
        # Not str(exc): that has the URL, with every build argument.
        words = exc.explanation or f"the engine answered {exc.status_code}"
        raise refused(engine, task, words, code) from exc
    except DockerException as exc:
        raise engine_error(refusal)(f"{task}: {exc}") from exc
    except TunnelError as exc:
        message = f"{task}: {_went(engine, refusal)}{exc}"
        raise EngineUnavailableError(message, recovery=exc.recovery) from exc
    except _OF_THE_CONNECTION as exc:
        cause = _root(exc)
        recovery = _ABOUT_PERMISSION if isinstance(cause, PermissionError) else None
        message = f"{task}: {_went(engine, refusal)}{_words(cause)}"
        raise EngineUnavailableError(message, recovery=recovery) from exc


def _went(engine: str, refusal: ErrorCode) -> str:
    return "" if refusal is ErrorCode.DOCKER_UNAVAILABLE else f"the {engine} went away: "


def _root(exc: BaseException) -> BaseException:
    """Find what the system or the protocol said first; the texts of the libraries above it hold URLs."""
    root, link = exc, exc.__cause__ or exc.__context__
    while link is not None:
        if isinstance(link, OSError | HTTPException) and not isinstance(link, RequestException):
            root = link
        link = link.__cause__ or link.__context__
    return root


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "it was silent for too long"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
