"""Clients that are not senders: endless requests, unread responses, silence. Counted and measured, never timed."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import CONNECTIONS_MAX
from support.archives.archives import image_archive
from support.eventually import eventually_sync
from support.http.wire import END, ask, connected, field, package, request
from support.receiver.in_process import form
from support.receiver.target import Target
from support.sending.node import KEY

_PACKAGE = image_archive("legacy")
_CLIENTS = 40
_SENT_BYTES = 4 << 20
# What a kernel, an interpreter and forty connections take; what was sent is more than that.
_GROWTH_MAX_BYTES = 48 << 20
_ON_TOP = 40  # descriptors that are no connections


@pytest.fixture(scope="module", params=["", KEY], ids=["no key", "a key"])
def process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One receiver for all of them."""
    environ = {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": request.param}
    with Target(tmp_path_factory.mktemp("receiver") / "store", environ=environ) as target:
        yield target


@pytest.fixture
def target(process: Target) -> Iterator[Target]:
    """A receiver that must be unchanged after the test."""
    with process.unharmed():
        yield process


def upload(content: bytes = _PACKAGE) -> bytes:
    """Return an upload without a signature."""
    fields = b"".join(field(name, value) for name, value in form(content).items())
    return request("POST", "/deploy", fields + package(content) + END)


_GET = request("GET", "/healthz", content_type=None, headers={"Connection": "keep-alive"})
_FLOODS = {
    "questions": _GET,
    "pages that are not there": _GET.replace(b"/healthz", b"/nothing"),
    "figures": _GET.replace(b"/healthz", b"/metrics"),
    "what must be signed": _GET.replace(b"/healthz", b"/deployments"),
    "posts without a body": _GET.replace(b"GET", b"POST"),
}


@pytest.mark.parametrize("sent", _FLOODS.values(), ids=_FLOODS.keys())
def test_endless_requests_of_a_client_that_reads_nothing(target: Target, sent: bytes) -> None:
    """Each connection ends with one response at most, other clients get theirs, and nothing is queued."""
    with ExitStack() as opened:
        clients = [opened.enter_context(connected(target.url)) for _ in range(_CLIENTS)]

        def flood(client: int) -> None:
            with suppress(OSError):  # the connection has ended
                clients[client].sendall(sent * (_SENT_BYTES // len(sent)))

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        assert 200 == target.get("/healthz").status
        for thread in threads:
            thread.join()
        responses = [b"" for _ in clients]
        for number, client in enumerate(clients):
            with suppress(ConnectionError):
                while piece := client.recv(1 << 16):
                    responses[number] += piece
    assert 1 >= max(response.count(b"HTTP/1.1 ") for response in responses)
    assert _GROWTH_MAX_BYTES > target.growth_bytes()


def test_silent_connections_are_limited(target: Target) -> None:
    """However many come, and whether they have begun a head or a form; the newest get their responses."""
    begun = (b"", b"GET /hea", upload()[:200])
    with ExitStack() as opened:
        for number in range(4 * CONNECTIONS_MAX):
            client = opened.enter_context(connected(target.url))
            with suppress(OSError):
                client.sendall(begun[number % len(begun)])
        assert 200 == target.get("/healthz").status
        assert eventually_sync(lambda: descriptors(target) <= CONNECTIONS_MAX + _ON_TOP)


def descriptors(target: Target) -> int:
    """Return how many files and connections the receiver has open."""
    return len(list(Path(f"/proc/{target.process.pid}/fd").iterdir()))


def test_only_its_user_may_read_the_files(tmp_path: Path) -> None:
    """Whatever the umask: uploads, deployments and nonces, while it runs and after its end."""
    before = os.umask(0)
    try:
        with Target(tmp_path / "store", environ={"DOCKER_HOST": "unix:///no/engine"}) as target:
            assert 201 == ask(target.url, upload()).status
            # Its record is written again.
            assert eventually_sync(lambda: "DOCKER_UNAVAILABLE" == target.deployments()[0]["error_code"])
            at_work = modes(tmp_path / "store")
    finally:
        os.umask(before)
    for found in (at_work, modes(tmp_path / "store")):
        assert {"nonces.sqlite3", "deployment.json", "package", "lock"} <= found.keys()
        assert {0o600, 0o700} == set(found.values())


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file and folder, by name."""
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
