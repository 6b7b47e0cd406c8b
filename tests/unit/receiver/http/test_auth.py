"""The authenticator: which requests are accepted."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from starlette.requests import Request

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    SignedRequest,
    new_nonce,
    sign,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.auth import RequestAuthenticator
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.host_names import HostNames
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.nonces import NonceFile

_SECRET = "0123456789abcdef0123456789abcdef"
_KEYS = [SecretStr(f"old:{'x' * 32}"), SecretStr(f"new:{_SECRET}")]
_NOW = 1_800_000_000
_HOST = "receiver.example:8001"
_FIELDS = UploadFields(package_id=str(uuid4()), checksum="0" * 64, container_name="hello", image_tag="1.0")


def header(signed: SignedRequest, now: int = _NOW, key_id: str = "new", nonce: str | None = None) -> str:
    """Sign a request."""
    return sign(key_id, _SECRET.encode(), signed, now=now, nonce=nonce or new_nonce())


def get_request(authorization: str | None, target: str = "/deployments", **how: str) -> Request:
    """Make a GET as the server passes it on."""
    return request(authorization, target, **{"method": "GET", **how})


def upload_header(fields: UploadFields = _FIELDS, **how: Any) -> str:
    """Sign an upload of 7 bytes."""
    return header(SignedRequest.for_upload(_HOST, "/deploy", fields, 7), **how)


def request(authorization: str | None, target: str = "/deploy", method: str = "POST", host: str = _HOST) -> Request:
    """Make a request as the server passes it on."""
    path, _, query = target.partition("?")
    headers = [(b"host", host.encode())]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode()))
    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }
    return Request(scope)


@pytest.fixture
async def authenticator(tmp_path: Path, workers: ThreadPool) -> RequestAuthenticator:
    """An authenticator with two keys and a stopped clock."""
    return RequestAuthenticator(
        _KEYS, await workers.run(NonceFile, tmp_path / "nonces"), workers, clock=lambda: _NOW + 0.9
    )


async def refused(authenticator: RequestAuthenticator, asked: Request, fields: UploadFields = _FIELDS) -> str:
    """Check that an upload is refused; return the reason."""
    with pytest.raises(RefusedError) as caught:
        await authenticator.authenticate_upload(asked, fields)
    assert 401 == caught.value.status
    assert ErrorCode.TRANSFER_FAILED is caught.value.code
    assert {"WWW-Authenticate": "Deployment-HMAC-SHA256"} == caught.value.headers
    assert _SECRET not in str(caught.value)
    return caught.value.message


async def test_a_signed_upload_is_accepted_with_its_size(authenticator: RequestAuthenticator) -> None:
    """The size is signed, too."""
    assert 7 == await authenticator.authenticate_upload(request(upload_header()), _FIELDS)
    await authenticator.close()


async def test_without_keys_every_request_is_accepted(tmp_path: Path, workers: ThreadPool) -> None:
    """No size is known then."""
    authenticator = await RequestAuthenticator.open([], tmp_path / "nonces", workers)
    assert await authenticator.authenticate_upload(request(None), _FIELDS) is None
    await authenticator.authenticate_get(get_request(None))
    await authenticator.close()


async def test_an_unsigned_upload_is_refused(authenticator: RequestAuthenticator) -> None:
    """The message says how to sign."""
    expected = "the request must be signed: Authorization: Deployment-HMAC-SHA256 ..."
    assert expected == await refused(authenticator, request(None))
    await authenticator.close()


@pytest.mark.parametrize("age", [ALLOWED_CLOCK_SKEW_SECONDS + 1, -ALLOWED_CLOCK_SKEW_SECONDS - 1])
async def test_a_stale_signature_is_refused(authenticator: RequestAuthenticator, age: int) -> None:
    """An old one, and one from the future."""
    assert f"{age} s old" in await refused(authenticator, request(upload_header(now=_NOW - age)))
    await authenticator.close()


async def test_a_replayed_upload_is_refused(authenticator: RequestAuthenticator) -> None:
    """Its nonce is known already."""
    authorization = upload_header()
    await authenticator.authenticate_upload(request(authorization), _FIELDS)
    assert (await refused(authenticator, request(authorization))).startswith("the request was seen before")
    await authenticator.close()


async def test_nonces_outlive_a_restart(tmp_path: Path, workers: ThreadPool) -> None:
    """They are kept in a file."""
    authorization = upload_header()
    first = RequestAuthenticator(_KEYS, await workers.run(NonceFile, tmp_path / "nonces"), workers, clock=lambda: _NOW)
    await first.authenticate_upload(request(authorization), _FIELDS)
    await first.close()
    second = RequestAuthenticator(_KEYS, await workers.run(NonceFile, tmp_path / "nonces"), workers, clock=lambda: _NOW)
    assert (await refused(second, request(authorization))).startswith("the request was seen before")
    await second.close()


async def test_a_nonce_belongs_to_its_key(authenticator: RequestAuthenticator) -> None:
    """Two senders may use the same nonce by chance."""
    nonce = new_nonce()
    old = header(SignedRequest.for_get(_HOST, "/deployments"), key_id="new", nonce=nonce)
    await authenticator.authenticate_get(get_request(old, "/deployments"))
    signed = SignedRequest.for_get(_HOST, "/deployments")
    other = sign("old", b"x" * 32, signed, now=_NOW, nonce=nonce)
    await authenticator.authenticate_get(get_request(other, "/deployments"))
    await authenticator.close()


@pytest.mark.parametrize(
    "changed", [{"image_tag": "2.0"}, {"announced_digest": f"sha256:{'0' * 64}"}, {"checksum": "1" * 64}]
)
async def test_a_changed_field_is_refused(authenticator: RequestAuthenticator, changed: dict[str, str]) -> None:
    """Every field is signed."""
    fields = _FIELDS.model_copy(update=changed)
    assert (await refused(authenticator, request(upload_header()), fields)).startswith("the signature does not match")
    await authenticator.close()


async def test_an_unknown_key_is_refused(authenticator: RequestAuthenticator) -> None:
    """The message names its id."""
    assert "the receiver has no key 'unknown'" == await refused(authenticator, request(upload_header(key_id="unknown")))
    await authenticator.close()


@pytest.mark.parametrize("names", [["receiver.example"], ["other", _HOST]])
async def test_a_request_for_one_of_its_host_names_is_accepted(
    tmp_path: Path, workers: ThreadPool, names: list[str]
) -> None:
    """A host name without a port is accepted with every port."""
    nonces = await workers.run(NonceFile, tmp_path / "nonces")
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, names=HostNames(names), clock=lambda: _NOW)
    assert 7 == await authenticator.authenticate_upload(request(upload_header()), _FIELDS)
    await authenticator.authenticate_get(
        get_request(header(SignedRequest.for_get(_HOST, "/deployments")), "/deployments")
    )
    await authenticator.close()


@pytest.mark.parametrize("name", ["other.example", "receiver.example:8002", "receiver", "example"])
async def test_a_request_for_another_receiver_is_refused(tmp_path: Path, workers: ThreadPool, name: str) -> None:
    """It could be a repetition of a request to another receiver with the same key."""
    nonces = await workers.run(NonceFile, tmp_path / "nonces")
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, names=HostNames([name]), clock=lambda: _NOW)
    expected = f"the request was signed for receiver.example:8001; this receiver accepts only {name}"
    authorization = upload_header()
    assert expected == await refused(authenticator, request(authorization))
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, clock=lambda: _NOW)
    assert 7 == await authenticator.authenticate_upload(request(authorization), _FIELDS)  # its nonce was not used up
    await authenticator.close()


async def test_a_get_is_signed_with_its_query(authenticator: RequestAuthenticator) -> None:
    """It is accepted once."""
    authorization = header(SignedRequest.for_get(_HOST, "/deployments?limit=3"))
    with pytest.raises(RefusedError, match="does not match"):
        await authenticator.authenticate_get(get_request(authorization, "/deployments?limit=4"))
    await authenticator.authenticate_get(get_request(authorization, "/deployments?limit=3"))
    with pytest.raises(RefusedError, match="seen before"):
        await authenticator.authenticate_get(get_request(authorization, "/deployments?limit=3"))
    await authenticator.close()


@pytest.mark.parametrize(("signed", "asked"), [("GET", "HEAD"), ("HEAD", "GET"), ("GET", "OPTIONS"), ("PUT", "GET")])
async def test_a_signature_is_valid_for_one_method(
    authenticator: RequestAuthenticator, signed: str, asked: str
) -> None:
    """A signed GET is not accepted as a HEAD, nor the other way round."""
    authorization = header(SignedRequest.for_get(_HOST, "/deployments", signed))
    with pytest.raises(RefusedError, match=rf"does not match.*checked as {asked} receiver\.example:8001/deployments"):
        await authenticator.authenticate_get(get_request(authorization, method=asked))
    await authenticator.authenticate_get(get_request(authorization, method=signed))
    await authenticator.close()


@pytest.mark.parametrize("spelling", ["RECEIVER.example:8001", "receiver.example.:8001", "receiver.example:08001"])
async def test_a_host_may_be_spelled_in_several_ways(authenticator: RequestAuthenticator, spelling: str) -> None:
    """They are the same host on both sides."""
    signed = header(SignedRequest.for_get(spelling, "/deployments"))
    await authenticator.authenticate_get(get_request(signed))
    await authenticator.authenticate_get(
        get_request(header(SignedRequest.for_get(_HOST, "/deployments")), host=spelling)
    )
    await authenticator.close()


async def test_a_get_needs_no_disk(authenticator: RequestAuthenticator) -> None:
    """Its nonce is in memory: it is accepted once when the file of the upload nonces is gone."""
    await authenticator.close()
    authorization = header(SignedRequest.for_get(_HOST, "/deployments"))
    await authenticator.authenticate_get(get_request(authorization))
    with pytest.raises(RefusedError, match="seen before"):
        await authenticator.authenticate_get(get_request(authorization))


@pytest.mark.parametrize(
    "url", ["https://Edge.example/in/", "https://edge.example:443/in/deploy", "https://edge.example./in"]
)
async def test_behind_a_proxy_the_public_url_is_what_was_signed(tmp_path: Path, workers: ThreadPool, url: str) -> None:
    """Whatever the proxy has changed in the Host and the path."""
    nonces = await workers.run(NonceFile, tmp_path / "nonces")
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, names=HostNames(public_url=url), clock=lambda: _NOW)
    authorization = header(SignedRequest.for_upload("edge.example", "/in/deploy", _FIELDS, 7))
    assert 7 == await authenticator.authenticate_upload(request(authorization, host="127.0.0.1:8001"), _FIELDS)
    await authenticator.authenticate_get(
        get_request(header(SignedRequest.for_get("EDGE.example", "/in/deployments?limit=1")), "/deployments?limit=1")
    )
    message = await refused(authenticator, request(upload_header()))
    assert message.endswith("(checked as POST edge.example/in/deploy)")
    await authenticator.close()


async def test_past_the_proxy_its_host_names_are_accepted_too(tmp_path: Path, workers: ThreadPool) -> None:
    """For requests that are made on the machine itself."""
    nonces = await workers.run(NonceFile, tmp_path / "nonces")
    names = HostNames(["receiver.example"], "https://edge.example/in")
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, names=names, clock=lambda: _NOW)
    await authenticator.authenticate_get(get_request(header(SignedRequest.for_get(_HOST, "/deployments"))))
    await authenticator.authenticate_get(
        get_request(header(SignedRequest.for_get("edge.example", "/in/deployments")), host="127.0.0.1")
    )
    await authenticator.close()


async def test_a_request_without_a_host_is_refused_where_host_names_are_set(
    tmp_path: Path, workers: ThreadPool
) -> None:
    """HTTP/1.0 has no Host header."""
    nonces = await workers.run(NonceFile, tmp_path / "nonces")
    authenticator = RequestAuthenticator(_KEYS, nonces, workers, names=HostNames(["edge.example"]), clock=lambda: _NOW)
    with pytest.raises(RefusedError, match="signed for no host"):
        await authenticator.authenticate_get(get_request(header(SignedRequest.for_get("", "/deployments")), host=""))
    await authenticator.close()


@pytest.mark.parametrize("authorization", [None, "Bearer x", "KEY"])
async def test_a_header_without_a_known_key_is_refused(
    authenticator: RequestAuthenticator, authorization: str | None
) -> None:
    """Before anything else of the request is read."""
    sent = upload_header(key_id="unknown") if authorization == "KEY" else authorization
    with pytest.raises(RefusedError, match=r"must be signed|no key 'unknown'"):
        authenticator.check_header(request(sent))
    await authenticator.close()
