"""Requests that are not signed, or were changed: a receiver refuses them with 401, and stores nothing."""

import gzip
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    SignedRequest,
    new_nonce,
    sign,
)
from support.archives.archives import config_of, image_archive, layer, sha256
from support.eventually import eventually_sync
from support.http.wire import END, Reply, ask, connected, field, package, request
from support.process.disks import small_disk
from support.receiver.in_process import form
from support.receiver.target import Target

PACKAGE = gzip.compress(image_archive("legacy"), mtime=0)
IMAGE_ID = f"sha256:{sha256(config_of([layer()]))}"
LEAST = form(PACKAGE)
OPTIONAL = {
    "verify_checksum": "true",
    "correlation_id": "deploy-001",
    "compression": "gzip",
    "image_id": IMAGE_ID,
    "platform": "linux/amd64",
}
OLD, NEW = f"old:{'o' * 32}", f"new:{'n' * 32}"
HOST = "receiver.example:8001"
REFUSED = (401, "TRANSFER_FAILED")
# More than the slowest test takes: what is fresh stays fresh, and what is to come stays so.
MARGIN_SECONDS = 150


def started(store: Path, *arguments: str, keys: str = f"{OLD},{NEW}") -> Target:
    """Return a receiver with keys."""
    return Target(store, *arguments, environ={"DEPLOYMENT_RECEIVER_SIGNING_KEYS": keys})


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One receiver for all refused requests; its log holds no secret."""
    with started(tmp_path_factory.mktemp("receiver") / "store") as target:
        yield target
    assert not any(word in line for line in target.process.lines for word in ("o" * 32, "n" * 32, "signature="))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A receiver that may store something."""
    with started(tmp_path_factory.mktemp("receiver") / "store") as target:
        yield target


@pytest.fixture
def target(process: Target) -> Iterator[Target]:
    """A receiver that must be unchanged after the test."""
    with process.unharmed():
        yield process


def signature(signed: SignedRequest, key: str = NEW, age_seconds: float = 0) -> str:
    """Sign a request, this long ago; return the header."""
    key_id, _, secret = key.partition(":")
    return sign(key_id, secret.encode(), signed, now=int(time.time() - age_seconds), nonce=new_nonce())


def described(of: dict[str, str], host: str = HOST) -> SignedRequest:
    """Return what is signed for an upload with these fields."""
    return SignedRequest.for_upload(host, "/deploy", UploadFields.read(of), len(PACKAGE))


def upload(authorization: str | None, of: dict[str, str] = LEAST, content: bytes = PACKAGE, host: str = HOST) -> bytes:
    """Return an upload's bytes."""
    headers = {"Host": host} | ({} if authorization is None else {"Authorization": authorization})
    body = b"".join(field(name, value) for name, value in of.items()) + package(content) + END
    return request("POST", "/deploy", body, headers=headers)


def fresh(key: str = NEW, age_seconds: float = 0, host: str = HOST) -> bytes:
    """Return a new upload, signed correctly."""
    of = form(PACKAGE)
    return upload(signature(described(of, host), key, age_seconds), of, host=host)


def get_request(authorization: str | None, path: str = "/deployments") -> bytes:
    """Return the bytes of a GET."""
    headers = {"Host": HOST} | ({} if authorization is None else {"Authorization": authorization})
    return request("GET", path, content_type=None, headers=headers)


@pytest.mark.parametrize("age_seconds", [0, ALLOWED_CLOCK_SKEW_SECONDS - MARGIN_SECONDS, -MARGIN_SECONDS])
@pytest.mark.parametrize("given", [{}, OPTIONAL], ids=["least", "most"])
def test_a_signed_request_is_accepted(own: Target, given: dict[str, str], age_seconds: float) -> None:
    """Upload and GET, also when the clocks differ a little: the requests below are refused for their fault alone."""
    of = form(PACKAGE, **given)
    asked = signature(SignedRequest.for_get(HOST, "/deployments"), age_seconds=age_seconds)

    assert PACKAGE == own.kept(ask(own.url, upload(signature(described(of), age_seconds=age_seconds), of)))
    assert 200 == ask(own.url, get_request(asked)).status


OTHER = {
    "method": "PUT",
    "host": "other.example:8001",
    "path": "/deploy?run=true",
    "package_id": "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10",
    "size": str(len(PACKAGE) + 1),
    "checksum": "0" * 64,
    "container_name": "victim",
    "image_tag": "2.0",
    "compression": "zstd",
    "announced_digest": f"sha256:{'0' * 64}",
    "verify_checksum": "false",
    "correlation_id": "deploy-002",
    "platform": "linux/s390x",
}


@pytest.mark.parametrize("name", [one.name for one in fields(SignedRequest)])
@pytest.mark.parametrize("of", [LEAST, LEAST | OPTIONAL], ids=["least", "most"])
def test_an_upload_with_a_changed_field(target: Target, of: dict[str, str], name: str) -> None:
    """Refused, whichever of the signed fields it is, and whether or not it was sent."""
    authorization = signature(replace(described(of), **{name: OTHER[name]}))

    assert REFUSED == ask(target.url, upload(authorization, of)).refusal


@pytest.mark.parametrize("name", [one.name for one in fields(SignedRequest) if one.name != "size"])
def test_a_get_with_a_changed_field(target: Target, name: str) -> None:
    """Refused, whichever of the signed fields it is."""
    signed = replace(SignedRequest.for_get(HOST, "/deployments"), **{name: OTHER[name]})

    assert REFUSED == ask(target.url, get_request(signature(signed))).refusal


def test_a_signature_is_for_one_method(target: Target) -> None:
    """A signed GET is not accepted as an upload, nor the other way round."""
    asked = signature(SignedRequest.for_get(HOST, "/deploy"))

    assert REFUSED == ask(target.url, upload(asked)).refusal
    assert REFUSED == ask(target.url, get_request(signature(described(LEAST)))).refusal


def test_a_signed_get_is_not_a_head(own: Target) -> None:
    """Nor the other way round; each signature is valid for its own method, once."""
    asked = {method: signature(SignedRequest.for_get(HOST, "/deployments", method)) for method in ("GET", "HEAD")}

    def status(method: str, signed: str) -> int:
        headers = {"Host": HOST, "Authorization": asked[signed]}
        with connected(own.url) as connection:
            connection.sendall(request(method, "/deployments", content_type=None, headers=headers))
            return int(connection.makefile("rb").readline().split()[1])  # the response to a HEAD has no body

    assert [401, 401] == [status("HEAD", "GET"), status("GET", "HEAD")]
    assert [200, 200] == [status("HEAD", "HEAD"), status("GET", "GET")]
    assert [401, 401] == [status("HEAD", "HEAD"), status("GET", "GET")]


def test_a_host_in_another_spelling(own: Target) -> None:
    """It is the same host on both sides; another port is another host."""
    spellings = ("Receiver.EXAMPLE:8001", "receiver.example.:8001", "receiver.example:08001")
    signed = [signature(SignedRequest.for_get(host, "/deployments")) for host in spellings]
    other = signature(SignedRequest.for_get("receiver.example:8002", "/deployments"))

    assert [200, 200, 200] == [ask(own.url, get_request(one)).status for one in signed]
    assert REFUSED == ask(own.url, get_request(other)).refusal


def test_another_file_of_the_same_size(target: Target) -> None:
    """Refused because its checksum is not the signed one."""
    other = PACKAGE[:-1] + bytes([PACKAGE[-1] ^ 1])

    assert (422, "CHECKSUM_MISMATCH") == ask(target.url, upload(signature(described(LEAST)), content=other)).refusal


def test_a_size_that_was_not_signed(target: Target) -> None:
    """Refused before the file is read."""
    changed = signature(described(LEAST)).replace('size="', 'size="1')

    assert REFUSED == ask(target.url, upload(changed)).refusal


def test_a_file_of_another_size(target: Target) -> None:
    """Refused when it is longer than was signed, or shorter."""
    described_so = described(LEAST)

    for content in (PACKAGE + b"\0", PACKAGE[:-1]):
        of = LEAST | {"checksum": form(content)["checksum"]}
        signed = replace(described_so, checksum=of["checksum"])
        assert REFUSED == ask(target.url, upload(signature(signed), of, content)).refusal


FORGED: dict[str, Callable[[str], str | None]] = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "another scheme": lambda header: header.replace("Deployment-HMAC-SHA256", "Bearer"),
    "the scheme alone": lambda header: header.partition(" ")[0],
    "another key's id": lambda header: header.replace('key_id="new"', 'key_id="old"'),
    "an unknown key's id": lambda header: header.replace('key_id="new"', 'key_id="none"'),
    "a key's id that is no name": lambda header: header.replace('key_id="new"', 'key_id="../new"'),
    "another time": lambda header: header.replace('time="1', 'time="2'),
    "another nonce": lambda header: header.replace('nonce="', 'nonce="x'),
    "a signature of zeros": lambda header: header[: header.rindex("=") + 2] + "0" * 64 + '"',
    "a signature in upper case": lambda header: header[:-65] + header[-65:].upper(),
    "a signature that is cut": lambda header: header[:-2] + '"',
    "two signatures": lambda header: f'{header}, signature="{"0" * 64}"',
    "no nonce": lambda header: header.replace("nonce=", "once="),
    "a header without an end": lambda header: header + ", " + "x" * 50_000,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_header_that_is_not_a_signature(target: Target, forge: Callable[[str], str | None]) -> None:
    """Refused, for an upload and for each GET."""
    assert REFUSED == ask(target.url, upload(forge(signature(described(LEAST))))).refusal
    for path in ("/deployments", "/deployments?limit=1", "/deployments/none"):
        signed = SignedRequest.for_get(HOST, path)
        assert REFUSED == ask(target.url, get_request(forge(signature(signed)), path)).refusal


@pytest.mark.parametrize("off_seconds", [-ALLOWED_CLOCK_SKEW_SECONDS - MARGIN_SECONDS, ALLOWED_CLOCK_SKEW_SECONDS + 1])
def test_a_stale_or_early_signature(target: Target, off_seconds: float) -> None:
    """Refused when it is more than 300 seconds old, or as far in the future."""
    reply = ask(target.url, fresh(age_seconds=off_seconds))

    assert REFUSED == reply.refusal
    assert "the clocks of both machines must agree" in reply.document["error_message"]


def test_a_signature_by_a_key_of_the_same_id(target: Target) -> None:
    """Refused: the id is not secret."""
    assert REFUSED == ask(target.url, fresh(f"new:{'x' * 32}")).refusal


def test_health_and_metrics_need_no_signature(target: Target) -> None:
    """A monitoring system has no key."""
    assert [200, 200] == [ask(target.url, get_request(None, path)).status for path in ("/healthz", "/metrics")]


def test_a_request_that_comes_twice(own: Target) -> None:
    """The second is refused, upload and GET."""
    for sent, status in ((fresh(), 201), (get_request(signature(SignedRequest.for_get(HOST, "/deployments"))), 200)):
        assert [status, 401] == [ask(own.url, sent).status for _ in range(2)]


@pytest.mark.parametrize("end", [Target.stop, Target.kill])
def test_a_request_that_comes_again_after_a_restart(tmp_path: Path, end: Callable[[Target], None]) -> None:
    """Refused: an upload's nonce is on the disk before its response is sent."""
    sent = fresh()
    with started(tmp_path / "store") as target:
        assert 201 == ask(target.url, sent).status
        end(target)
    with started(tmp_path / "store") as target:
        assert REFUSED == ask(target.url, sent).refusal


def test_a_request_that_comes_several_times_at_once(own: Target) -> None:
    """One of them is accepted."""
    sent = fresh()
    with ThreadPoolExecutor(8) as threads:
        replies: list[Reply] = list(threads.map(lambda _: ask(own.url, sent), range(8)))

    assert [201] + [401] * 7 == sorted(reply.status for reply in replies)


@pytest.mark.parametrize("kept", [0, 10_000], ids=["emptied", "cut inside a page"])
def test_a_damaged_file_of_nonces(tmp_path: Path, kept: int) -> None:
    """It is kept aside and reported; earlier requests are not accepted again, and later ones are."""
    sent = fresh()
    with started(tmp_path / "store") as target:
        assert 201 == ask(target.url, sent).status
    path = tmp_path / "store" / "nonces.sqlite3"
    damaged = path.read_bytes()[:kept]
    path.write_bytes(damaged)

    with started(tmp_path / "store") as target:
        found = target.process.wait_for(r"nonces\.sqlite3 is damaged .* it is kept as (\S+), and a new file was made")
        reply = ask(target.url, sent)
        assert (503, str(tmp_path) in reply.content.decode()) == (reply.status, False)
        assert eventually_sync(lambda: 201 == ask(target.url, fresh()).status)
    assert damaged == path.with_name(found[1]).read_bytes()


def test_a_full_disk_behind_a_receipt(tmp_path: Path) -> None:
    """Signed GETs are accepted all the same; an upload is refused without a path, and accepted once there is space."""
    with small_disk(tmp_path / "store", 4_000_000) as disk, started(tmp_path / "store") as target:
        assert 201 == ask(target.url, fresh()).status
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for path in ("/deployments", "/deployments?limit=1"):
            assert 200 == ask(target.url, get_request(signature(SignedRequest.for_get(HOST, path)), path)).status
        reply = ask(target.url, fresh())
        assert (507, False) == (reply.status, str(tmp_path) in reply.content.decode())
        ballast.unlink()
        assert 201 == ask(target.url, fresh()).status


def test_a_request_for_another_receiver(tmp_path: Path) -> None:
    """A request that one receiver has accepted is refused by another one with the same key and another host name."""
    sent = fresh(host="one.example:8001")
    with started(tmp_path / "one", "--host-name", "one.example") as one:
        assert 201 == ask(one.url, sent).status
    with started(tmp_path / "two", "--host-name", "two.example") as two, two.unharmed():
        reply = ask(two.url, sent)
        assert REFUSED == reply.refusal
        assert "signed for one.example:8001" in reply.document["error_message"]


def test_keys_are_changed_without_downtime(tmp_path: Path) -> None:
    """Both are valid while both are configured."""
    with started(tmp_path / "store") as target:
        assert [201, 201] == [ask(target.url, fresh(key)).status for key in (OLD, NEW)]
    with started(tmp_path / "store", keys=NEW) as target:
        assert [REFUSED, (201, None)] == [ask(target.url, fresh(key)).refusal for key in (OLD, NEW)]


@pytest.mark.parametrize("keys", [f"short:{'s' * 31}", f"{NEW},short:{'s' * 31}", "short:", "s" * 64])
def test_a_weak_key_is_not_accepted(tmp_path: Path, keys: str) -> None:
    """The receiver does not start; its message says what is required, and does not hold the key."""
    refused = started(tmp_path / "store", keys=keys)
    with pytest.raises(AssertionError, match="signing_keys"), refused:
        pass  # never reached

    printed = "\n".join(refused.process.lines)
    assert (True, False) == ("deployment-receiver keygen" in printed, "s" * 31 in printed), printed
