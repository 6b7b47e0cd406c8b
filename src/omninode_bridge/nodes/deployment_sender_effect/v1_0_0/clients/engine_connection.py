"""docker-py's low-level client, made so that every connection of a call can be broken off."""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import DockerException, create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.transport.unixconn import UnixHTTPConnection
from docker.utils.proxy import ProxyConfig
from requests import HTTPError, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from ..errors import ErrorCode
from .engine_call import Call
from .engine_endpoint import Endpoint
from .engine_errors import translated
from .engine_sockets import open_tcp, open_unix

__all__ = ["EngineClient", "connected", "member"]

_API_VERSION = re.compile(r"\d+\.\d+")
_BUILD_ARGS = re.compile(r"buildargs=[^&\s]*")


class _WithoutBuildArgs(logging.Filter):
    """urllib3 logs each URL at DEBUG; that of a build holds the build arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _BUILD_ARGS.sub("buildargs=***", value) if isinstance(value, str) else value for value in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_WithoutBuildArgs())


@contextmanager
def connected(
    endpoint: Endpoint, call: Call, silence_seconds: float | None = None, *, without_chunks: bool = False
) -> Iterator["EngineClient"]:
    """Give a client whose engine has answered; close all that it opened.

    Args:
        endpoint: Where the engine is.
        call: Is handed every connection.
        silence_seconds: How long the engine may say nothing while it answers; None for ever.
        without_chunks: Speak HTTP/1.0. An engine makes chunks of 32 KB, and putting their borders in and taking them
            out is a fifth of the time that an archive takes. Where it ends is then for its reader to see.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The Docker Engine at {endpoint.address} does not answer"
    with translated(endpoint.address, task, ErrorCode.DOCKER_UNAVAILABLE):
        client = _new_client(endpoint, call, without_chunks)
    try:
        with translated(endpoint.address, task, ErrorCode.DOCKER_UNAVAILABLE):
            client.negotiate(endpoint.connect_timeout_seconds)
        client.timeout = silence_seconds  # type: ignore[assignment]  # None is for ever
        yield client
    finally:
        client.close()


def _new_client(endpoint: Endpoint, call: Call, without_chunks: bool) -> "EngineClient":
    if endpoint.address.startswith("ssh://") and find_spec("paramiko") is None:
        raise DockerException("ssh:// needs paramiko: pip install 'docker[ssh]'")
    try:
        return EngineClient(endpoint, call, without_chunks=without_chunks)
    except ValueError as exc:  # urllib.parse on a port that is no number
        raise DockerException(f"the address cannot be read: {exc}") from exc


class EngineClient(APIClient):
    """One call's client. Nothing of the environment gets in: no proxies, no netrc.

    Args:
        endpoint: Where the engine is; not asked yet.
        call: Is handed every connection.
        without_chunks: Speak HTTP/1.0.

    Attributes:
        address: The endpoint's, for messages.
    """

    _proxy_configs: ProxyConfig  # docker-py's

    def __init__(self, endpoint: Endpoint, call: Call, *, without_chunks: bool = False) -> None:
        self.address = endpoint.address
        self._call = call
        self._without_chunks = without_chunks
        self._connect_seconds = endpoint.connect_timeout_seconds
        self._opened: list[HTTPConnection | Response] = []
        folder = endpoint.certificates
        super().__init__(
            base_url=endpoint.docker_host,
            version=DEFAULT_DOCKER_API_VERSION,  # with none, docker-py would ask for it here
            tls=_tls(folder) if folder else False,
        )
        self.trust_env = False
        self.hooks["response"].append(self._received)

    def negotiate(self, seconds: float) -> None:
        """Speak the engine's own API version from now on, as `GET /_ping` tells it."""
        response = self.get(f"{self.base_url}/_ping", timeout=seconds)
        version = response.headers.get("Api-Version", "")
        if not _API_VERSION.fullmatch(version):
            raise DockerException("what answers there is no Docker Engine")
        self._version = version

    def proxy_args(self) -> dict[str, str]:
        """The build arguments that ~/.docker/config.json adds to every build, as for `docker build`."""
        return {name: str(value) for name, value in self._proxy_configs.get_environment().items()}

    def open_export(self, reference: str) -> Response:
        """Ask for an image's archive; its bytes are read from the answer's `raw`."""
        url = f"{self.base_url}/v{self.api_version}/images/{quote(reference, safe='/:')}/get"
        headers = {"Accept-Encoding": "identity", "Host": urlsplit(self.base_url).netloc}
        return self.get(url, stream=True, timeout=self.timeout, headers=headers)

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Use an adapter, and hear of each connection that it makes."""
        if isinstance(adapter, HTTPAdapter):
            make_pool = adapter.get_connection_with_tls_context
            adapter.get_connection_with_tls_context = (  # type: ignore[method-assign]
                lambda *args, **kwargs: self._watched(make_pool(*args, **kwargs))  # type: ignore[arg-type]
            )
        super().mount(prefix, adapter)

    def close(self) -> None:
        """Close the connections, also those of answers that were not read to their end."""
        for opened in self._opened:
            with suppress(OSError):  # what was broken off may fail to say good-bye
                opened.close()
        super().close()

    def _received(self, response: Response, **_: Any) -> None:
        """Refuse an error before docker-py reads it as a stream: a long error comes chunked."""
        self._opened.append(response)
        try:
            response.raise_for_status()
        except HTTPError as exc:
            _raise_api_error(exc)

    def _watched(self, pool: HTTPConnectionPool) -> HTTPConnectionPool:
        if "_new_conn" not in vars(pool):
            make = pool._new_conn  # noqa: SLF001 - the one place where a pool makes its connections
            pool._new_conn = lambda: self._breakable(make())  # type: ignore[arg-type,method-assign]  # noqa: SLF001
        return pool

    def _breakable(self, connection: HTTPConnection) -> HTTPConnection:
        self._opened.append(connection)
        if self._without_chunks:
            connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]  # noqa: SLF001
        plain_connect = connection.connect
        connection._new_conn = partial(  # type: ignore[method-assign]  # noqa: SLF001
            open_tcp, self._call, connection.host, connection.port, self._connect_seconds
        )

        def connect() -> None:
            self._call.check()
            if isinstance(connection, UnixHTTPConnection):
                connection.sock = open_unix(self._call, connection.unix_socket, self._connect_seconds)
            else:
                plain_connect()
            if not isinstance(connection.sock, socket.socket):
                self._call.adopt(connection.sock)  # ssh: a channel of paramiko's
            connection.sock.settimeout(None)  # sending has the call's own deadline

        connection.connect = connect  # type: ignore[method-assign]
        return connection


def member(answer: Any, *path: str) -> Any:
    """Read a member of an engine's answer.

    Raises:
        DockerException: It has none.
    """
    for name in path:
        if not isinstance(answer, dict) or name not in answer:
            raise DockerException(f"its answer has no {'.'.join(path)}")
        answer = answer[name]
    return answer


def _tls(folder: Path) -> TLSConfig:
    return TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")), ca_cert=str(folder / "ca.pem"), verify=True
    )


def _raise_api_error(exc: HTTPError) -> None:
    try:
        create_api_error_from_http_exception(exc)
    except (AttributeError, KeyError, TypeError):  # it expects {"message": "..."} of every JSON
        raise DockerException(f"it answered {exc.response.status_code} {exc.response.reason}") from None
