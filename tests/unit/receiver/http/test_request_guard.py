"""Requests that no route may see: an unknown protocol version, a foreign Host, a web page's request."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.version import (
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    SUPPORTED_VERSIONS,
)
from support.archives.archives import image_archive
from support.http.raw import RawConnection
from support.receiver.in_process import Running, Start

_KEYS = [f"k1:{'s' * 32}"]
_PATHS = ["/healthz", "/metrics", "/deployments", "/deployments/x", "/deploy", "/nothing"]


async def status(receiver: Running, path: str = "/healthz", method: str = "GET", **headers: str) -> int:
    """Send a request with these headers; return the status."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await receiver.client.request(method, path, headers=sent)).status_code


async def response_to(receiver: Running, request: bytes) -> tuple[int, str | None]:
    """Send bytes; return the status and the code."""
    async with RawConnection(receiver.url) as connection:
        await connection.send(request)
        response = await connection.answer()
    assert response is not None
    return response.status, response.json().get("error_code")


_LOOPBACK = [
    *("localhost", "LOCALHOST.:1", "a.localhost:8001", "127.0.0.1", "127.9.9.9:1", "[::1]:8001", "[0:0:0:0:0:0:0:1]"),
]
_FOREIGN = ["rebound.example", "rebound.example:8001", "localhost.example", "192.168.1.5", "[::]"]


async def test_without_a_key_loopback_names_are_accepted(start: Start) -> None:
    """However they are spelled."""
    async with start() as receiver:
        found = {host: await status(receiver, Host=host) for host in _LOOPBACK}
    assert dict.fromkeys(_LOOPBACK, 200) == found


async def test_without_a_key_no_other_name_is_accepted(start: Start) -> None:
    """A web page whose name resolves to this machine could read everything otherwise."""
    async with start() as receiver:
        for host in _FOREIGN:
            responses = [await receiver.client.get(path, headers={"Host": host}) for path in _PATHS]
            assert {(403, "TRANSFER_FAILED")} == {(one.status_code, one.json()["error_code"]) for one in responses}
            assert f"--host-name {host}" in responses[0].json()["recovery"]


async def test_without_a_key_its_host_names_are_accepted(start: Start) -> None:
    """The configured ones, and that of the public URL."""
    async with start(host_names=["edge.example:8001"], public_url="https://public.example/in") as receiver:
        found = {
            host: await status(receiver, Host=host)
            for host in ("edge.example:8001", "edge.example:8002", "public.example", "127.0.0.1", "other.example")
        }
    assert {
        "edge.example:8001": 200,
        "edge.example:8002": 403,
        "public.example": 200,
        "127.0.0.1": 200,
        "other.example": 403,
    } == found


async def test_with_a_key_the_signature_covers_the_host(start: Start) -> None:
    """Requests that need no signature are accepted under any name."""
    async with start(signing_keys=_KEYS, host_names=["edge.example"]) as receiver:
        assert 200 == await status(receiver, Host="anything.example")
        assert 401 == await status(receiver, "/deployments", Host="anything.example")


_FROM_PAGES = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    {"Sec_Fetch_Site": "something new"},
    {"Origin": "http://page.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"},
]


@pytest.mark.parametrize("keys", [[], _KEYS], ids=["no key", "a key"])
async def test_a_page_of_another_site_is_refused(start: Start, keys: list[str]) -> None:
    """By the headers that the browser sends, for every path."""
    async with start(signing_keys=keys) as receiver:
        for headers in _FROM_PAGES:
            found = [await status(receiver, path, method, **headers) for path in _PATHS for method in ("GET", "POST")]
            assert {403} == set(found), headers


async def test_a_url_that_a_person_enters_in_a_browser_is_accepted(start: Start) -> None:
    """Typed into its address bar, or reloaded."""
    async with start() as receiver:
        found = [await status(receiver, "/deployments", Sec_Fetch_Site=site) for site in ("none", "same-origin")]
    assert [200, 200] == found


_NO_HOSTS = [b"", b"Host:\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: localhost\r\nHost: localhost\r\n"]


@pytest.mark.parametrize("keys", [[], _KEYS], ids=["no key", "a key"])
async def test_a_request_has_one_host(start: Start, keys: list[str]) -> None:
    """400 without one, with two, and with an invalid one (RFC 9112 section 3.2)."""
    async with start(signing_keys=keys) as receiver:
        found = [await response_to(receiver, b"GET /healthz HTTP/1.1\r\n%b\r\n" % host) for host in _NO_HOSTS]
    assert [(400, "VALIDATION_ERROR")] * len(_NO_HOSTS) == found


async def test_an_old_client_may_send_no_host(start: Start) -> None:
    """HTTP/1.0 has no Host header, and no browser speaks it."""
    async with start() as receiver:
        assert (200, None) == await response_to(receiver, b"GET /healthz HTTP/1.0\r\n\r\n")


async def test_a_whole_url_as_target_is_refused(start: Start) -> None:
    """Its host would take precedence over the header (RFC 9112 section 3.2.2)."""
    async with start() as receiver:
        request = b"GET http://rebound.example/deployments HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (400, "VALIDATION_ERROR") == await response_to(receiver, request)


@pytest.mark.parametrize("prefix", ["/in", "/a%20b/c"])
async def test_a_proxy_may_keep_the_public_path(start: Start, prefix: str) -> None:
    """Or remove it: the routes are the same."""
    async with start(public_url=f"http://localhost{prefix}") as receiver:
        found = [
            await status(receiver, path) for path in ("/healthz", f"{prefix}/healthz", f"{prefix}x/healthz", "/in2")
        ]
        package = image_archive()
        response = await receiver.upload(package)
    assert [200, 200, 404, 404] == found
    assert response.json()["status_url"].startswith("deployments/")


@pytest.mark.parametrize("version", [None, *SUPPORTED_VERSIONS])
async def test_a_supported_version_is_accepted(start: Start, version: int | None) -> None:
    """Without a header a request is of version 1."""
    headers = {} if version is None else {PROTOCOL_HEADER: str(version)}
    async with start() as receiver:
        response = await receiver.client.get("/deployments", headers=headers)
    assert 200 == response.status_code


_UNREADABLE = ["", "0", "-1", "2.0", "two", "1, 2", "02", "2\u00b2", "9" * 6, "9" * 5000]


@pytest.mark.parametrize("text", _UNREADABLE, ids=range(len(_UNREADABLE)))
async def test_a_version_that_is_not_a_whole_number_is_refused(start: Start, text: str) -> None:
    """With what to send."""
    async with start() as receiver:
        response = await receiver.client.get("/healthz", headers={PROTOCOL_HEADER.encode(): text.encode("latin-1")})
    document = response.json()
    assert (400, "VALIDATION_ERROR", "the Deployment-Protocol header must be one whole number") == (
        response.status_code,
        document["error_code"],
        document["error_message"],
    )
    assert "Send Deployment-Protocol: 2, or leave the header out" in document["recovery"]


async def test_two_version_headers_are_refused(start: Start) -> None:
    """Even if they are equal: another reader could use another one."""
    async with start() as receiver:
        request = (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nDeployment-Protocol: 2\r\nDeployment-Protocol: 2\r\n\r\n"
        )
        assert (400, "VALIDATION_ERROR") == await response_to(receiver, request)


@pytest.mark.parametrize("keys", [[], _KEYS], ids=["no key", "a key"])
async def test_an_unknown_version_is_refused_before_the_body_is_read(start: Start, keys: list[str]) -> None:
    """The message names the versions of both sides, and the recovery says what to do."""
    head = b"POST /deploy HTTP/1.1\r\nHost: localhost\r\nDeployment-Protocol: 3\r\nContent-Length: 1000000\r\n\r\n"
    async with start(signing_keys=keys) as receiver, RawConnection(receiver.url) as connection:
        await connection.send(head + b"the beginning")
        response = await connection.answer()
    assert response is not None
    document = response.json()
    assert (400, "VALIDATION_ERROR", "the request is of protocol version 3; this receiver speaks 1 and 2") == (
        response.status,
        document["error_code"],
        document["error_message"],
    )
    assert "Update the receiver, or send with a release that speaks version 1 or 2." == document["recovery"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nDeployment-Protocol: 3\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: page.example\r\n\r\n",
        b"not HTTP\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
    ],
    ids=["health", "metrics", "404", "version", "host", "no HTTP", "large head"],
)
async def test_every_response_names_the_version(start: Start, request_bytes: bytes) -> None:
    """Also those that the server gives before a route, or this guard, sees the request."""
    async with start() as receiver, RawConnection(receiver.url) as connection:
        await connection.send(request_bytes)
        response = await connection.answer()
    assert response is not None
    assert str(PROTOCOL_VERSION) == response.headers[PROTOCOL_HEADER.lower()]
