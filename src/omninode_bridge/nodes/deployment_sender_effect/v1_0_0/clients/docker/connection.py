"""docker-py's low-level client over connections of our own."""

import codecs
import json
import re
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION, DEFAULT_USER_AGENT
from docker.errors import DockerException, create_api_error_from_http_exception
from docker.utils.json_stream import json_stream
from docker.utils.proxy import ProxyConfig
from requests import HTTPError, Response, Session

from ...errors import ErrorCode
from .call import Call
from .config import read_config
from .endpoint import Endpoint, SshAddress, TcpAddress, UnixAddress
from .errors import translated
from .sockets import Link, open_tcp, open_tls, open_unix
from .ssh import open_ssh
from .transport import EngineAdapter

__all__ = ["EngineClient", "connected", "member"]

_API_VERSION = re.compile(r"\d+\.\d+")


@contextmanager
def connected(
    endpoint: Endpoint, call: Call, silence_seconds: float | None = None, *, without_chunks: bool = False
) -> Iterator["EngineClient"]:
    """Give a client whose engine has answered; close all that it opened.

    Args:
        endpoint: Where the engine is; is told what responds there.
        call: Is handed every connection.
        silence_seconds: How long the engine may say nothing while it answers; None for ever.
        without_chunks: Speak HTTP/1.0, but not over ssh. An engine makes chunks of 32 KB, and putting their borders in
            and taking them out is a fifth of the time that an archive takes. Where it ends is then for its reader to
            see.

    Raises:
        DeploymentSenderError: DOCKER_UNAVAILABLE.
    """
    task = f"The {endpoint.engine} does not answer"
    with translated(endpoint.engine, task, ErrorCode.DOCKER_UNAVAILABLE):
        client = _new_client(endpoint, call, without_chunks)
    try:
        with translated(endpoint.engine, task, ErrorCode.DOCKER_UNAVAILABLE):
            client.negotiate()
        client.timeout = silence_seconds  # type: ignore[assignment]  # None is for ever
        yield client
    finally:
        client.close()


def _new_client(endpoint: Endpoint, call: Call, without_chunks: bool) -> "EngineClient":
    try:
        return EngineClient(endpoint, call, without_chunks=without_chunks)
    except ValueError as exc:
        raise DockerException(f"the address cannot be read: {exc}") from exc


class EngineClient(APIClient):
    """One call's client. Nothing of the environment gets in: no proxies, no netrc.

    Args:
        endpoint: Where the engine is; not asked yet.
        call: Is handed every connection.
        without_chunks: Speak HTTP/1.0, but not over ssh.

    Attributes:
        config: What the docker command is configured to.

    Raises:
        ValueError: The address cannot be read.
        DockerException: The certificates cannot be read.
    """

    def __init__(self, endpoint: Endpoint, call: Call, *, without_chunks: bool = False) -> None:
        # Not docker-py's: that one reads the configuration with everything that it names, falls over some that the
        # docker command takes, and makes connections that nobody can break off. Below is all that its methods need.
        Session.__init__(self)  # pylint: disable=super-init-not-called
        address = endpoint.address
        host, prefix = (address.netloc, address.prefix) if isinstance(address, TcpAddress) else ("localhost", "")
        adapter = EngineAdapter(
            host,
            _opener(endpoint, address, call),
            without_chunks=without_chunks and not isinstance(address, SshAddress),
        )
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)
        self.trust_env = False
        self.headers.update({"User-Agent": DEFAULT_USER_AGENT, "Accept-Encoding": "identity"})
        self.hooks["response"].append(_refuse_errors)
        self._endpoint = endpoint
        self.config = read_config(endpoint.config_folder)
        self.base_url = f"http://{host}{prefix}"
        self.timeout = endpoint.connect_timeout_seconds  # type: ignore[assignment]  # a float will do
        self._credentials: Mapping[str, Mapping[str, str]] = {}
        self._version = DEFAULT_DOCKER_API_VERSION
        self._general_configs = {"HttpHeaders": dict(self.config.http_headers)}
        self._proxy_configs = ProxyConfig.from_dict({**self.config.proxies_for(endpoint.docker_host)})  # type: ignore[typeddict-item]

    @property
    def engine(self) -> str:
        """What responds there and where, for a message."""
        return self._endpoint.engine

    def negotiate(self) -> None:
        """Speak the engine's own API version from now on, and note what it is, as `GET /_ping` says."""
        response = self.get(f"{self.base_url}/_ping", timeout=self._endpoint.connect_timeout_seconds)
        version = response.headers.get("Api-Version", "")
        if not _API_VERSION.fullmatch(version):
            raise DockerException("what answers there is no Docker Engine")
        self._version = version
        # Podman's compatible API says in each response what it is (github.com/containers/podman, pkg/api/server).
        self._endpoint.name = "Podman Engine" if "Libpod-Api-Version" in response.headers else "Docker Engine"

    def proxy_args(self) -> dict[str, str]:
        """The build arguments that ~/.docker/config.json adds to every build, as for `docker build`."""
        return self.config.proxy_args(self._endpoint.docker_host)

    def sign_in(self, credentials: Mapping[str, Mapping[str, str]]) -> None:
        """Give the engine these credentials with each build, by the registry that they are for."""
        self._credentials = credentials

    def open_export(self, reference: str) -> Response:
        """Ask for an image's archive; its bytes are read from the response's `raw`."""
        url = f"{self.base_url}/v{self.api_version}/images/{quote(reference, safe='/:')}/get"
        return self.get(url, stream=True, timeout=self.timeout)

    # Two methods that docker-py's own call; tests/unit/clients/test_engine_seams.py sees that they still do.

    def _set_auth_headers(self, headers: MutableMapping[str, str]) -> None:
        """Add what `sign_in` was given (github.com/moby/moby, api/server/router/build/build_routes.go)."""
        if self._credentials:
            text = json.dumps({name: dict(entry) for name, entry in self._credentials.items()})
            headers["X-Registry-Config"] = urlsafe_b64encode(text.encode()).decode()

    def _stream_helper(self, response: Response, decode: bool = False) -> Iterator[Any]:
        """Read what an engine tells while it works: pieces as they come, or the records in them."""
        return json_stream(codecs.iterdecode(response.raw, "utf-8", "replace")) if decode else iter(response.raw)


def _opener(endpoint: Endpoint, address: UnixAddress | TcpAddress | SshAddress, call: Call) -> Callable[[], Link]:
    seconds = endpoint.connect_timeout_seconds
    if isinstance(address, SshAddress):
        return partial(open_ssh, call, address, seconds)
    if isinstance(address, UnixAddress):
        return lambda: Link(open_unix(call, address.path, seconds))
    if address.tls:
        context = _tls(endpoint.certificates)
        return lambda: Link(open_tls(call, address.host, address.port, seconds, context))
    return lambda: Link(open_tcp(call, address.host, address.port, seconds))


def _tls(folder: Path | None) -> ssl.SSLContext:
    if folder is None:  # https:// without a wish for certificates of one's own
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as exc:
        reason = exc.strerror or exc
        raise DockerException(
            f"the certificates in {folder} (ca.pem, cert.pem, key.pem) cannot be read: {reason}"
        ) from exc
    return context


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


def _refuse_errors(response: Response, **_: Any) -> None:
    """Raise an error before docker-py reads it as a stream: a long error comes chunked."""
    try:
        response.raise_for_status()
    except HTTPError as exc:
        _raise_api_error(exc)


def _raise_api_error(exc: HTTPError) -> None:
    try:
        create_api_error_from_http_exception(exc)
    except (AttributeError, KeyError, TypeError):  # it expects {"message": "..."} of every JSON
        raise DockerException(f"it answered {exc.response.status_code} {exc.response.reason}") from None
