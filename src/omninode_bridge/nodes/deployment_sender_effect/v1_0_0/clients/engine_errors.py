"""What docker-py and the libraries below it raise becomes a `DeploymentSenderError` here, and nowhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException

from docker.credentials.errors import StoreError
from docker.errors import APIError, DockerException, StreamParseError
from requests import RequestException
from urllib3.exceptions import HTTPError

from ..errors import DeploymentSenderError, ErrorCode
from .engine_refusals import refused

__all__ = ["translated"]

# Not the engine's word, but that of a proxy before it.
_FROM_A_PROXY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}

_ABOUT_PERMISSION = (
    "Run this as a user who may use the engine's socket (usually a member of the group docker), or as root."
)


@contextmanager
def translated(address: str, task: str, refusal: ErrorCode = ErrorCode.BUILD_FAILED) -> Iterator[None]:
    """Translate what goes wrong between us and the engine.

    Args:
        address: Where the engine should be.
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
        raise refused(address, task, words, code) from exc
    except (DockerException, StoreError) as exc:  # a credential helper that fails, for one
        raise DeploymentSenderError(refusal, f"{task}: {exc}") from exc
    except _of_the_connection() as exc:
        cause = _root(exc)
        went = "" if refusal is ErrorCode.DOCKER_UNAVAILABLE else f"the Docker Engine at {address} went away: "
        recovery = _ABOUT_PERMISSION if isinstance(cause, PermissionError) else None
        message = f"{task}: {went}{_words(cause)}"
        raise DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, message, recovery=recovery) from exc


def _of_the_connection() -> tuple[type[Exception], ...]:
    # OSError is the base of every exception of requests; urllib3's and http.client's come out of half-read answers.
    foreign = (StreamParseError, HTTPError, HTTPException, OSError)
    paramiko = sys.modules.get("paramiko")  # only there with docker[ssh]
    return (*foreign, paramiko.SSHException) if paramiko else foreign


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
