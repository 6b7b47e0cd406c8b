"""docker-py's low-level client over connections that can be aborted."""

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

from ...errors import EngineUnavailableError
from .call import Call
from .config import read_config
from .endpoint import PODMAN, Endpoint, SshAddress, TcpAddress, UnixAddress
from .errors import engine_errors
from .sockets import EngineSocket, open_tcp, open_tls, open_unix
from .ssh import open_ssh
from .transport import EngineAdapter

__all__ = ["EngineClient", "check_connection", "connected_client", "required_field"]

_API_VERSION = re.compile(r"\d+\.\d+")


@contextmanager
def connected_client(
    endpoint: Endpoint, call: Call, silence_seconds: float | None = None, *, without_chunks: bool = False
) -> Iterator["EngineClient"]:
    """Connect to an engine for the length of a `with` block.

    Args:
        endpoint: Where the engine is; its `name` is set to what responds there.
        call: Aborts every connection that the client makes.
        silence_seconds: How long the engine may send nothing within a response; None for ever.
        without_chunks: Use HTTP/1.0, except over ssh. An engine sends chunks of 32 KB, and writing and reading their
            lengths takes a fifth of the time of an export. The reader then has to check that the archive is complete.

    Raises:
        EngineUnavailableError: The engine cannot be reached, or does not respond as an engine does.
    """
    task = f"The {endpoint.engine} is not available"
    with engine_errors(endpoint.engine, task, EngineUnavailableError):
        client = _new_client(endpoint, call, without_chunks)
    try:
        with engine_errors(endpoint.engine, task, EngineUnavailableError):
            client.negotiate()
        client.set_timeout(silence_seconds)
        yield client
    finally:
        client.close()


def check_connection(endpoint: Endpoint, call: Call) -> None:
    """Check, in a thread, that an engine responds. EngineUnavailableError."""
    with connected_client(endpoint, call):
        pass


def _new_client(endpoint: Endpoint, call: Call, without_chunks: bool) -> "EngineClient":
    try:
        return EngineClient(endpoint, call, without_chunks=without_chunks)
    except ValueError as exc:
        raise DockerException(f"the address cannot be read: {exc}") from exc


class EngineClient(APIClient):
    """The client of one call. It ignores the environment: no proxies, no netrc.

    Args:
        endpoint: Where the engine is; the constructor does not connect.
        call: Aborts every connection.
        without_chunks: Use HTTP/1.0, except over ssh.

    Attributes:
        config: The docker command's configuration.

    Raises:
        ValueError: The address cannot be read.
        DockerException: The certificates cannot be read.
    """

    def __init__(self, endpoint: Endpoint, call: Call, *, without_chunks: bool = False) -> None:
        # Not docker-py's constructor: that one reads the configuration with every file that it names, fails on some
        # that the docker command accepts, and makes connections that cannot be aborted. Below is all that its methods
        # need.
        Session.__init__(self)  # pylint: disable=super-init-not-called
        address = endpoint.address
        host, prefix = (address.netloc, address.prefix) if isinstance(address, TcpAddress) else ("localhost", "")
        adapter = EngineAdapter(
            host,
            _socket_opener(endpoint, address, call),
            without_chunks=without_chunks and not isinstance(address, SshAddress),
        )
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)
        self.trust_env = False
        self.headers.update({"User-Agent": DEFAULT_USER_AGENT, "Accept-Encoding": "identity"})
        self.hooks["response"].append(_raise_for_status)
        self._endpoint = endpoint
        self.config = read_config(endpoint.config_folder)
        self.base_url = f"http://{host}{prefix}"
        self.set_timeout(endpoint.connect_timeout_seconds)
        self._credentials: Mapping[str, Mapping[str, str]] = {}
        self._version = DEFAULT_DOCKER_API_VERSION
        self._general_configs = {"HttpHeaders": dict(self.config.http_headers)}
        proxies: Any = {**self.config.proxies_for(endpoint.docker_host)}  # docker-py wants a dict of its own names
        self._proxy_configs = ProxyConfig.from_dict(proxies)

    @property
    def engine(self) -> str:
        """The kind of engine and its address, for a message."""
        return self._endpoint.engine

    def set_timeout(self, seconds: float | None) -> None:
        """Wait so long for the next bytes of a response; None is for ever."""
        self.timeout = seconds  # type: ignore[assignment]  # docker-py passes it on, and says that it is an integer

    def describe_image(self, reference: str) -> Any:
        """Return `GET /images/{reference}/json`."""
        return self.inspect_image(reference)  # type: ignore[no-untyped-call]

    def negotiate(self) -> None:
        """Use the API version of the response to `GET /_ping` from now on, and note the kind of engine."""
        response = self.get(f"{self.base_url}/_ping", timeout=self._endpoint.connect_timeout_seconds)
        version = response.headers.get("Api-Version", "")
        if not _API_VERSION.fullmatch(version):
            raise DockerException("the response is not that of a Docker Engine")
        self._version = version
        # Podman's compatible API sends this header with each response (github.com/containers/podman, pkg/api/server).
        self._endpoint.name = PODMAN if "Libpod-Api-Version" in response.headers else "Docker Engine"

    def proxy_args(self) -> dict[str, str]:
        """Return the build arguments that ~/.docker/config.json adds to every build, as for `docker build`."""
        return self.config.proxy_args(self._endpoint.docker_host)

    def set_credentials(self, credentials: Mapping[str, Mapping[str, str]]) -> None:
        """Send these credentials with each build, by the registry that they are for."""
        self._credentials = credentials

    def request_export(self, reference: str) -> Response:
        """Request an image's archive; read its bytes from the response's `raw`."""
        url = f"{self.base_url}/v{self.api_version}/images/{quote(reference, safe='/:')}/get"
        return self.get(url, stream=True, timeout=self.timeout)

    # Two methods that docker-py's own call; tests/unit/clients/docker/test_seams.py checks that they still do.

    def _set_auth_headers(self, headers: MutableMapping[str, str]) -> None:
        """Add the credentials (github.com/moby/moby, api/server/router/build/build_routes.go)."""
        if self._credentials:
            text = json.dumps({name: dict(entry) for name, entry in self._credentials.items()})
            headers["X-Registry-Config"] = urlsafe_b64encode(text.encode()).decode()

    def _stream_helper(self, response: Response, decode: bool = False) -> Iterator[Any]:
        """Read the engine's progress: the pieces as they arrive, or the records in them."""
        return json_stream(codecs.iterdecode(response.raw, "utf-8", "replace")) if decode else iter(response.raw)


def _socket_opener(
    endpoint: Endpoint, address: UnixAddress | TcpAddress | SshAddress, call: Call
) -> Callable[[], EngineSocket]:
    seconds = endpoint.connect_timeout_seconds
    if isinstance(address, SshAddress):
        return partial(open_ssh, call, address, seconds)
    if isinstance(address, UnixAddress):
        return lambda: EngineSocket(open_unix(call, address.path, seconds))
    if address.tls:
        context = _tls_context(endpoint.certificates)
        return lambda: EngineSocket(open_tls(call, address.host, address.port, seconds, context))
    return lambda: EngineSocket(open_tcp(call, address.host, address.port, seconds))


def _tls_context(folder: Path | None) -> ssl.SSLContext:
    if folder is None:  # https:// without certificates of the user's own
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


def required_field(record: Any, name: str) -> Any:
    """Return a field of an engine's response.

    Raises:
        DockerException: It has none of that name.
    """
    if not isinstance(record, dict) or name not in record:
        raise DockerException(f"its response has no {name}")
    return record[name]


def _raise_for_status(response: Response, **_: Any) -> None:
    """Raise for an error status before docker-py reads the response as a stream: a long error comes in chunks."""
    try:
        response.raise_for_status()
    except HTTPError as exc:
        _raise_api_error(exc)


def _raise_api_error(exc: HTTPError) -> None:
    try:
        create_api_error_from_http_exception(exc)
    except (AttributeError, KeyError, TypeError):  # it expects {"message": "..."} in every JSON
        raise DockerException(f"it responded with {exc.response.status_code} {exc.response.reason}") from None
