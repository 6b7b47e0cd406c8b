"""A receiver's start and its end."""

import asyncio
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.tls import client_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.server import serving
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.http.certificates import Authority
from support.receiver.in_process import Start

_KEYS = [f"k1:{'s' * 32}"]


async def refused(**settings: Any) -> OperationError:
    """Check that a receiver does not start; return the error."""
    made = await asyncio.to_thread(ReceiverSettings, **settings)
    with pytest.raises(OperationError) as caught:
        async with serving(made):
            pass
    return caught.value


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("localhost", "http://")]
)
async def test_its_url_is_where_it_listens(start: Start, host: str, url: str) -> None:
    """With the port that the kernel chose."""
    async with start(host=host) as receiver:
        assert receiver.url.startswith(url)
        assert 200 == (await receiver.client.get("/healthz")).status_code


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_beyond_loopback_a_key_is_required(tmp_path: Path, host: str) -> None:
    """The error says how to make one; nothing was written to the disk."""
    error = await refused(host=host, port=0, store=tmp_path / "store")
    assert isinstance(error, InvalidInputError)
    assert "deployment-receiver keygen" in error.recovery
    assert "DEPLOYMENT_RECEIVER_SIGNING_KEYS" in error.recovery
    assert not (tmp_path / "store").exists()


async def test_with_a_key_it_listens_on_any_address(start: Start) -> None:
    """On that of the setting."""
    async with start(host="0.0.0.0", signing_keys=_KEYS) as receiver:
        assert 200 == (await receiver.client.get("/healthz")).status_code


async def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    """In one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = await refused(port=port, store=tmp_path)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" == error.message


async def test_an_unknown_host_is_reported(tmp_path: Path) -> None:
    """In one sentence."""
    error = await refused(host="no-such-host.invalid", store=tmp_path)
    assert error.message.startswith("cannot listen on no-such-host.invalid:8001: ")


async def test_a_store_has_one_receiver(start: Start) -> None:
    """A second would load everything twice."""
    async with start() as receiver:
        error = await refused(port=0, store=receiver.store)
    assert f"another receiver uses the store {receiver.store}" == error.message


async def test_a_store_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """In one sentence."""
    (tmp_path / "file").touch()
    error = await refused(port=0, store=tmp_path / "file" / "store")
    assert error.message.startswith(f"cannot use {tmp_path / 'file' / 'store'}: ")


async def test_only_its_user_may_read_the_store(start: Start, package: bytes) -> None:
    """An image may hold secrets."""
    async with start() as receiver:
        await receiver.upload(package)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in receiver.store.iterdir()}
    assert 0o700 == modes["packages"]
    assert 0o700 == stat.S_IMODE(receiver.store.stat().st_mode)


async def test_nothing_is_left_after_the_end(start: Start, package: bytes) -> None:
    """No thread, no task, no open file."""
    before = (open_files(), len(asyncio.all_tasks()))
    async with start() as receiver:
        await receiver.finished((await receiver.upload(package)).json()["deployment_id"])
    assert (open_files(), len(asyncio.all_tasks())) == before
    assert [] == [thread.name for thread in threading.enumerate() if "receiver" in thread.name]
    assert 1 == receiver.engine.calls.count("close")


def open_files() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_body_that_fails_ends_the_receiver(start: Start) -> None:
    """And the error is raised."""
    attempt: Callable[[], Any] = start
    with pytest.raises(ZeroDivisionError):
        async with attempt():
            raise ZeroDivisionError


async def test_work_that_a_stop_left_is_continued(start: Start, package: bytes) -> None:
    """By the next receiver of the store."""
    async with start() as receiver:
        receiver.engine.hold.clear()
        deployment_id = (await receiver.upload(package)).json()["deployment_id"]
    receiver.engine.hold.set()
    async with start() as receiver:
        assert "loaded" == (await receiver.finished(deployment_id))["status"]


async def test_it_speaks_tls(start: Start, tmp_path: Path) -> None:
    """Its URL is https then."""
    authority = Authority(tmp_path / "authority")
    mine = authority.issue()
    async with start(tls_cert=mine.cert, tls_key=mine.key) as receiver:
        context = await asyncio.to_thread(client_context, authority.ca_file)
        assert receiver.url.startswith("https://127.0.0.1:")
        for _ in range(20):  # the first request may come together with the handshake's end
            async with httpx.AsyncClient(base_url=receiver.url, verify=context, trust_env=False) as client:
                assert [200, 200] == [(await client.get("/healthz")).status_code for _ in range(2)]


async def test_files_for_tls_that_cannot_be_used_are_reported(tmp_path: Path) -> None:
    """Before it listens or writes anything."""
    error = await refused(port=0, store=tmp_path / "store", tls_cert=tmp_path / "nothing")
    assert isinstance(error, InvalidInputError)
    assert "the file that tls_cert names cannot be read: No such file or directory" == error.message
    assert not (tmp_path / "store").exists()


async def test_tls_does_not_replace_a_key(tmp_path: Path) -> None:
    """Beyond loopback a key is required with TLS, too."""
    authority = Authority(tmp_path)
    mine = authority.issue()
    files = {"tls_cert": mine.cert, "tls_key": mine.key, "tls_client_ca": authority.ca_file}
    error = await refused(host="0.0.0.0", port=0, store=tmp_path / "store", **files)
    assert "without a signing key the receiver listens on loopback only" in error.message
