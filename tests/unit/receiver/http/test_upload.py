"""Uploads, over real TCP."""

import asyncio
import gzip
import json
import os
import re
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import SignedRequest, new_nonce, sign
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import FORM_OVERHEAD_MAX_BYTES
from support.archives.archives import image_archive, layer
from support.eventually import eventually
from support.receiver.in_process import Running, Start, form

_KEY = f"k1:{'s' * 32}"


class Slow:
    """A multipart body that a test sends piece by piece, over its own connection."""

    def __init__(self, receiver: Running, package: bytes, **fields: str | None) -> None:
        request = httpx.Request(
            "POST",
            f"{receiver.url}/deploy",
            data=form(package, **fields),
            files={"package": ("p.tar", package)},
            headers={"Connection": "close"},
        )
        head = b"".join(b"%s: %s\r\n" % header for header in request.headers.raw)
        self._url = httpx.URL(receiver.url)
        self._request = b"POST /deploy HTTP/1.1\r\n" + head + b"\r\n" + request.read()
        self._has_response = asyncio.Event()

    async def send(self, upto: int) -> None:
        """Connect and send this many bytes; a negative number counts from the end."""
        self._reader, self._writer = await asyncio.open_connection(self._url.host, self._url.port)
        self._writer.write(self._request[:upto])
        self._rest = self._request[upto:]
        await self._writer.drain()

    async def head(self) -> bytes:
        """Read the response's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def send_rest(self) -> None:
        """Send the rest."""
        self._writer.write(self._rest)
        await self._writer.drain()

    async def trickle(self) -> None:
        """Send the rest, a byte now and then, until there is a response."""
        for byte in self._rest:
            if self._has_response.is_set():
                return
            self._writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    async def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the rest; return the status and the JSON document."""
        await self.send_rest()
        return await self.response()

    async def response(self) -> tuple[int, dict[str, Any]]:
        """Read the response, and wait until the connection has ended."""
        head = await self.head()
        self._has_response.set()
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        body = json.loads(await self._reader.readexactly(int(length[1])))
        with suppress(ConnectionResetError):  # a byte that comes just as it is closed resets it
            assert not await self._reader.read()
        with suppress(ConnectionResetError):
            await self.close()
        return int(head.split()[1]), body

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """Return an error's status, code and message."""
    body = response.json()
    assert body["recovery"]
    return response.status_code, body["error_code"], body["error_message"]


async def test_a_package_is_verified_stored_and_loaded(start: Start, package: bytes) -> None:
    """The receipt reports the first two, and the state the last."""
    async with start() as receiver:
        response = await receiver.upload(package, correlation_id="deploy-001", platform="linux/amd64")
        receipt = response.json()
        state = await receiver.finished(receipt["deployment_id"])
        (name,) = receiver.packages()
        stored = (receiver.store / "packages" / name / "package").read_bytes()
    assert 201 == response.status_code
    assert receipt == {
        "deployment_id": name,
        "checksum_verified": True,
        "checksum": blake3(package).hexdigest(),
        "status": "received",
        "status_url": f"deployments/{name}",
        "platform": "linux/amd64",
    }
    assert stored == package
    assert ("loaded", "deploy-001", False) == (state["status"], state["correlation_id"], state["will_run"])
    assert "linux/amd64" == state["platform"]


async def test_a_web_page_cannot_deploy(start: Start, package: bytes) -> None:
    """Any page in a browser may post a form to loopback; the browser sends the page's origin with it."""
    async with start() as receiver:
        receiver.client.headers["Origin"] = "https://evil.example"
        response = await receiver.upload(package)
        assert (403, "TRANSFER_FAILED") == (response.status_code, response.json()["error_code"])
        assert 403 == (await receiver.client.get("/deployments")).status_code
        assert [] == receiver.packages()


async def test_a_receiver_that_runs_containers_runs_them(start: Start, package: bytes) -> None:
    """And `will_run` is true from the beginning."""
    async with start(run=True) as receiver:
        state = await receiver.finished((await receiver.upload(package)).json()["deployment_id"])
    assert ("running", True) == (state["status"], state["will_run"])
    assert ["hello"] == list(receiver.engine.containers)


def large(size: int) -> bytes:
    """Return a package of a little more than this size."""
    return image_archive(layers=[layer(noise=os.urandom(size))])


async def test_a_large_package_is_stored(start: Start) -> None:
    """Of several MB and some bytes."""
    package = large(5_000_011)
    async with start() as receiver:
        assert 201 == (await receiver.upload(package)).status_code
        (name,) = receiver.packages()
        assert (receiver.store / "packages" / name / "package").read_bytes() == package


async def test_a_package_that_arrives_again_is_the_same_deployment(start: Start, package: bytes) -> None:
    """It is loaded once and stored once."""
    package_id = str(uuid4())
    async with start() as receiver:
        first = await receiver.upload(package, package_id=package_id)
        await receiver.finished(first.json()["deployment_id"])
        again = await receiver.upload(package, package_id=package_id)
        assert 200 == again.status_code
        assert again.json() == first.json() | {"status": "loaded"}
        assert 1 == len(receiver.packages())
        assert 1 == receiver.engine.calls.count("load")


async def test_a_package_that_arrives_again_need_not_be_sent_again(start: Start) -> None:
    """The response is sent after the fields; a sender that sends the rest nevertheless is read to the end."""
    package_id, package = str(uuid4()), large(3_000_000)
    async with start() as receiver:
        assert 201 == (await receiver.upload(package, package_id=package_id)).status_code
        slow = Slow(receiver, package, package_id=package_id)
        await slow.send(2000)
        assert (await slow.head()).startswith(b"HTTP/1.1 200 ")
        await slow.send_rest()
        await slow.close()
        assert 1 == len(receiver.packages())


async def test_a_package_that_arrives_again_after_a_restart_is_the_same_deployment(
    start: Start, package: bytes
) -> None:
    """Its id is kept in the store."""
    package_id = str(uuid4())
    async with start() as receiver:
        first = await receiver.upload(package, package_id=package_id)
    async with start() as receiver:
        again = await receiver.upload(package, package_id=package_id)
    assert again.json()["deployment_id"] == first.json()["deployment_id"]


async def test_another_package_under_the_same_id_is_refused(start: Start, package: bytes) -> None:
    """With 409: each package has its own id."""
    package_id = str(uuid4())
    async with start() as receiver:
        await receiver.upload(package, package_id=package_id)
        expected = (409, "VALIDATION_ERROR", f"package {package_id} is here already, with another checksum")
        assert expected == error_of(await receiver.upload(b"another", package_id=package_id))


async def test_a_failed_deployment_is_tried_again_when_its_package_arrives_again(start: Start, package: bytes) -> None:
    """As the same deployment."""
    package_id = str(uuid4())
    async with start() as receiver:
        receiver.engine.fail("load", ErrorCode.BUILD_FAILED)
        first = (await receiver.upload(package, package_id=package_id)).json()
        assert "failed" == (await receiver.finished(first["deployment_id"]))["status"]
        again = (await receiver.upload(package, package_id=package_id)).json()
        assert again == first
        state = await receiver.finished(first["deployment_id"])
        assert ("loaded", None, None) == (state["status"], state["error_code"], state["error_message"])


async def test_a_package_that_the_disk_has_damaged_is_stored_again_when_it_arrives_again(
    start: Start, package: bytes
) -> None:
    """As a new deployment, which is the package's from then on, also after a restart."""
    package_id = str(uuid4())
    async with start() as receiver:
        receiver.engine.fail("load", ErrorCode.BUILD_FAILED)
        first = (await receiver.upload(package, package_id=package_id)).json()["deployment_id"]
        await receiver.finished(first)
        (receiver.store / "packages" / first / "package").write_bytes(package[:-1] + b"!")
        await receiver.upload(package, package_id=package_id)
        assert "CHECKSUM_MISMATCH" == (await receiver.finished(first))["error_code"]
        anew = await receiver.upload(package, package_id=package_id)
        assert 201 == anew.status_code
        assert "loaded" == (await receiver.finished(anew.json()["deployment_id"]))["status"]
    async with start() as receiver:
        again = await receiver.upload(package, package_id=package_id)
        assert (again.status_code, again.json()["deployment_id"]) == (200, anew.json()["deployment_id"])


async def test_two_uploads_of_one_package_at_once_are_one_deployment(start: Start, package: bytes) -> None:
    """Both get the same receipt, whichever is first."""
    package_id = str(uuid4())
    async with start() as receiver:
        slow = Slow(receiver, package, package_id=package_id)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        first = await receiver.upload(package, package_id=package_id)
        assert 201 == first.status_code
        status, receipt = await slow.finish()
        assert 200 == status
        assert receipt["deployment_id"] == first.json()["deployment_id"]
        assert (1, []) == (len(receiver.packages()), receiver.staged())


async def test_two_uploads_of_one_id_at_once_with_different_bytes_cannot_both_be_stored(
    start: Start, package: bytes
) -> None:
    """The one that ends second is refused."""
    package_id = str(uuid4())
    async with start() as receiver:
        slow = Slow(receiver, image_archive("legacy"), package_id=package_id)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        await receiver.upload(package, package_id=package_id)
        assert 409 == (await slow.finish())[0]
        assert (1, []) == (len(receiver.packages()), receiver.staged())


@pytest.mark.parametrize("package", [b"no archive", image_archive(reference="other:1.0")])
async def test_a_package_that_may_not_be_loaded_is_refused_and_not_stored(start: Start, package: bytes) -> None:
    """With 422, and the engine is not called."""
    async with start() as receiver:
        response = await receiver.upload(package)
        assert (422, "VALIDATION_ERROR") == (response.status_code, response.json()["error_code"])
        assert ([], [], []) == (receiver.packages(), receiver.staged(), receiver.engine.calls)


async def test_a_package_that_unpacks_to_too_much_is_refused_and_not_stored(start: Start) -> None:
    """With 413, as a package that is too large itself."""
    async with start(max_package_size_gb=0.0001) as receiver:
        response = await receiver.upload(gzip.compress(bytes(1_000_001)))
        assert (413, "PACKAGE_TOO_LARGE") == (response.status_code, response.json()["error_code"])
        assert ([], []) == (receiver.packages(), receiver.staged())


async def test_a_large_package_gets_its_receipt_before_it_is_checked(start: Start) -> None:
    """Its state reports what is wrong with it, and the engine is not called either."""
    async with start() as receiver:
        response = await receiver.upload(bytes(64 << 20) + b"!")
        assert 201 == response.status_code
        state = await receiver.finished(response.json()["deployment_id"])
        assert ("failed", "VALIDATION_ERROR") == (state["status"], state["error_code"])
        assert [] == receiver.engine.calls


async def test_a_package_that_cannot_be_read_again_is_reported(start: Start, package: bytes) -> None:
    """With 500; here its file is removed between writing and reading."""
    async with start() as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        (receiver.store / "staging" / receiver.staged()[0] / "package").unlink()
        assert 500 == (await slow.finish())[0]


async def test_wrong_bytes_are_refused_and_not_stored(start: Start, package: bytes) -> None:
    """With 422 and their checksum."""
    async with start() as receiver:
        response = await receiver.upload(package, checksum="0" * 64)
        expected = f"the package has the BLAKE3 {blake3(package).hexdigest()}, not {'0' * 64}"
        assert (422, "CHECKSUM_MISMATCH", expected) == error_of(response)
        assert ([], []) == (receiver.packages(), receiver.staged())


@pytest.mark.parametrize("name", ["package_id", "checksum", "container_name", "image_tag"])
async def test_required_fields_are_required(start: Start, package: bytes, name: str) -> None:
    """The message names the missing one."""
    async with start() as receiver:
        status, code, message = error_of(await receiver.upload(package, **{name: None}))
    assert (400, "VALIDATION_ERROR", f"UploadFields: {name}: Field required") == (status, code, message)


async def test_unknown_fields_are_ignored(start: Start, package: bytes) -> None:
    """A newer sender may send more."""
    async with start() as receiver:
        assert 201 == (await receiver.upload(package, colour="green")).status_code


async def test_another_content_type_is_refused(start: Start) -> None:
    """With 400."""
    async with start() as receiver:
        response = await receiver.client.post("/deploy", content=b"x")
        assert (400, "VALIDATION_ERROR", "the request is not multipart/form-data") == error_of(response)


async def test_a_package_that_is_announced_too_large_is_refused(start: Start) -> None:
    """Before its bytes are stored, and also a client that first sends all of it reads the response."""
    async with start(max_package_size_gb=0.001) as receiver:
        response = await receiver.upload(bytes(1_000_001 + FORM_OVERHEAD_MAX_BYTES))
        expected = (413, "PACKAGE_TOO_LARGE", "the receiver accepts packages of up to 1000000 bytes")
        assert expected == error_of(response)
        assert [] == receiver.staged()


async def test_a_package_that_grows_too_large_is_refused(start: Start) -> None:
    """Without a Content-Length, within a piece of the limit; one byte less is accepted."""
    fitting = large(1_000_000)
    async with start(max_package_size_gb=len(fitting) / 1e9) as receiver:

        async def send(package: bytes) -> httpx.Response:
            whole = httpx.Request("POST", "http://x", data=form(package), files={"package": ("p", package)})

            async def chunks() -> AsyncIterator[bytes]:
                yield whole.read()

            headers = {"Content-Type": whole.headers["Content-Type"]}
            return await receiver.client.post("/deploy", content=chunks(), headers=headers)

        assert 201 == (await send(fitting)).status_code
        assert 413 == (await send(fitting + b"\0")).status_code
        assert (1, []) == (len(receiver.packages()), receiver.staged())


async def test_more_uploads_than_allowed_are_refused(start: Start, package: bytes) -> None:
    """With 429 and a Retry-After; a free place is given to the next."""
    async with start(max_concurrent_uploads=1) as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        response = await receiver.upload(package)
        expected = (429, "TRANSFER_FAILED", "1 uploads are in progress, the most that the receiver allows at once")
        assert expected == error_of(response)
        assert "1" == response.headers["Retry-After"]
        assert 200 == (await receiver.client.get("/healthz")).status_code
        assert 201 == (await slow.finish())[0]
        assert 201 == (await receiver.upload(package)).status_code


async def test_a_sender_that_falls_silent_is_timed_out(start: Start, package: bytes) -> None:
    """With 408, and nothing is left."""
    async with start(idle_timeout_seconds=0.2) as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        status, body = await slow.response()
        assert (408, "nothing arrived for 0.2 s") == (status, body["error_message"])
        assert [] == receiver.staged()


async def test_fields_that_trickle_in_are_refused(start: Start, package: bytes) -> None:
    """With 408, however often a byte of them arrives; they occupy no place meanwhile."""
    async with start(idle_timeout_seconds=2, max_concurrent_uploads=1) as receiver:
        slow = Slow(receiver, package)
        await slow.send(-len(package) - 500)
        assert 201 == (await receiver.upload(package)).status_code
        trickling = asyncio.create_task(slow.trickle())
        status, body = await slow.response()
        assert (408, "the form's fields did not arrive within 2 s") == (status, body["error_message"])
        await trickling


async def test_a_sender_that_disconnects_leaves_nothing(start: Start, package: bytes) -> None:
    """And the upload is counted as broken off."""
    async with start() as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        await slow.close()
        await eventually(lambda: receiver.staged() == [])
        assert "uploads_broken_off_total 1" in (await receiver.client.get("/metrics")).text


async def test_uploads_may_end_when_the_receiver_stops(start: Start, package: bytes) -> None:
    """Within the time for it."""
    async with start() as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
        finished = asyncio.create_task(_later(slow))
    assert 201 == (await finished)[0]
    assert 1 == len(receiver.packages())


async def _later(slow: Slow) -> tuple[int, dict[str, Any]]:
    await asyncio.sleep(0.2)
    return await slow.finish()


async def test_a_stop_does_not_wait_for_ever_for_an_upload(start: Start, package: bytes) -> None:
    """The upload is cancelled, and nothing is left."""
    async with start(shutdown_seconds=0.2) as receiver:
        slow = Slow(receiver, package)
        await slow.send(-10)
        await eventually(lambda: len(receiver.staged()) == 1)
    assert ([], []) == (receiver.packages(), receiver.staged())
    await slow.close()


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse larger files: EFBIG, which is reported as a full disk is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_reported(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """With 507, nothing is left, and there is space for the next one; only the receiver's log names folders."""
    package = large(3 << 20)
    async with start() as receiver:
        with files_at_most(1 << 20):
            response = await receiver.upload(package)
        assert (507, "TRANSFER_FAILED", "the receiver's disk is full") == error_of(response)
        assert ([], []) == (receiver.packages(), receiver.staged())
        assert str(receiver.store) in caplog.text
        assert 201 == (await receiver.upload(package)).status_code


async def test_a_store_that_cannot_be_written_is_reported(start: Start, package: bytes) -> None:
    """With 500."""
    async with start() as receiver:
        (receiver.store / "staging").write_text("in the way")
        expected = (500, "TRANSFER_FAILED", "the receiver cannot use its store; its log gives the reason")
        assert expected == error_of(await receiver.upload(package))
        assert "uploads_failed_total 1" in (await receiver.client.get("/metrics")).text


def signed(receiver: Running, fields: dict[str, str], size: int) -> dict[str, str]:
    """Return the header of a signed upload."""
    key_id, _, secret = _KEY.partition(":")
    host = httpx.URL(receiver.url).netloc.decode()
    request = SignedRequest.for_upload(host, "/deploy", UploadFields.read(fields), size)
    return {"Authorization": sign(key_id, secret.encode(), request, now=int(time.time()), nonce=new_nonce())}


async def test_a_signed_upload_is_accepted(start: Start, package: bytes) -> None:
    """With one of the receiver's keys."""
    async with start(signing_keys=[_KEY]) as receiver:
        fields = form(package)
        response = await receiver.client.post(
            "/deploy",
            data=fields,
            files={"package": ("p", package)},
            headers=signed(receiver, fields, len(package)),
        )
    assert 201 == response.status_code


async def test_an_upload_of_another_size_than_signed_is_refused(start: Start, package: bytes) -> None:
    """Although its checksum is right."""
    async with start(signing_keys=[_KEY]) as receiver:
        fields = form(package)
        response = await receiver.client.post(
            "/deploy", data=fields, files={"package": ("p", package)}, headers=signed(receiver, fields, 3)
        )
        assert (401, f"the package has {len(package)} bytes, but 3 were signed") == error_of(response)[::2]
        assert ([], []) == (receiver.packages(), receiver.staged())


async def test_an_unsigned_upload_is_refused_before_a_byte_is_stored(start: Start, package: bytes) -> None:
    """With 401."""
    async with start(signing_keys=[_KEY]) as receiver:
        response = await receiver.upload(package)
        assert (401, "TRANSFER_FAILED") == error_of(response)[:2]
        assert "Deployment-HMAC-SHA256" == response.headers["WWW-Authenticate"]
        assert not (receiver.store / "staging").exists()
