"""A receiver that is killed, or runs out of space: each start finds the true state, and loads nothing unverified.

The receiver is a process of its own, images go into the real engine, and our own node brings them.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from support.archives.archives import layer
from support.engine.engines import RealEngine
from support.engine.load_gate import LoadGate, Point
from support.eventually import eventually_in_thread
from support.http.raw import RawConnection
from support.process.disks import small_disk
from support.receiver.deliveries import Deliveries, Parcel, failed

RENAMES = "rename,renameat,renameat2"
AT_ONCE = f"{RENAMES}:signal=KILL:when=1"
HELD_AFTER_IT = f"{RENAMES}:delay_exit=60000000:when=1"  # microseconds
DISK_BYTES = 8_000_000


@pytest.fixture
def deliveries(tmp_path: Path, real_engine: RealEngine) -> Iterator[Deliveries]:
    """Packages and receivers."""
    with LoadGate(real_engine.docker_host) as gate:
        yield Deliveries(tmp_path, real_engine, gate)


@pytest.fixture
async def parcel(deliveries: Deliveries) -> Parcel:
    """A package of 1 MB."""
    return await asyncio.to_thread(deliveries.parcel)


# Killed


async def test_a_kill_in_the_middle_of_an_upload(deliveries: Deliveries, parcel: Parcel) -> None:
    """The next start removes what had arrived, and lists nothing; the same package then succeeds."""
    whole = deliveries.request(parcel)
    with deliveries.receiver() as receiver:
        async with RawConnection(receiver.url) as connection:
            await connection.send(whole[: len(whole) // 2])
            assert await eventually_in_thread(deliveries.staged)
            await asyncio.to_thread(receiver.kill)
    assert ([], 1) == (deliveries.kept(), len(deliveries.staged()))

    with deliveries.receiver():
        assert ([], []) == (await deliveries.listed(), deliveries.staged())
        assert (await deliveries.send(parcel, wait_for="loaded")).success


async def test_a_kill_before_the_rename(deliveries: Deliveries, parcel: Parcel) -> None:
    """The sender sees a failure; the next start removes it, lists nothing, and accepts the same package."""
    with deliveries.receiver() as receiver:
        receiver.trace(AT_ONCE)
        output = await deliveries.send(parcel)
        assert -SIGKILL == await asyncio.to_thread(receiver.end)
    assert (ErrorCode.TRANSFER_FAILED, 1) == failed(output)
    assert ([], 1) == (deliveries.kept(), len(deliveries.staged()))

    with deliveries.receiver():
        assert ([], []) == (await deliveries.listed(), deliveries.staged())
        again = await deliveries.send(parcel, wait_for="loaded")
    assert (True, "loaded", 1) == (again.success, again.deployment_status, deliveries.gate.loads)
    assert [again.remote_deployment_id] == deliveries.kept()


async def test_a_kill_after_the_rename(deliveries: Deliveries, parcel: Parcel) -> None:
    """Nothing was acknowledged, but it is stored: the next start loads it, and the sender's retry finds it, once."""
    with deliveries.receiver() as receiver:
        receiver.trace(HELD_AFTER_IT)
        sending = asyncio.create_task(deliveries.send(parcel))
        assert await eventually_in_thread(deliveries.kept)
        await asyncio.to_thread(receiver.kill)
        assert (ErrorCode.TRANSFER_FAILED, 1) == failed(await sending)
    (deployment_id,) = deliveries.kept()

    with deliveries.receiver():
        assert "loaded" == (await deliveries.ended(deployment_id))["status"]
        again = await deliveries.send(parcel, wait_for="loaded")
    assert (True, deployment_id, 1) == (again.success, again.remote_deployment_id, deliveries.gate.loads)
    assert ([deployment_id], []) == (deliveries.kept(), deliveries.staged())


@pytest.mark.parametrize(("point", "loads"), [("before", 0), ("midway", 1), ("after", 1)])
async def test_a_kill_around_the_load(deliveries: Deliveries, parcel: Parcel, point: Point, loads: int) -> None:
    """The next start loads an acknowledged package, once, and names the image; a retry loads nothing."""
    deliveries.gate.hold = point
    with deliveries.receiver() as receiver:
        output = await deliveries.send(parcel)
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        await asyncio.to_thread(receiver.kill)
    deliveries.gate.release()
    assert (loads, False) == (deliveries.gate.loads, deliveries.has(parcel))

    with deliveries.receiver():
        state = await deliveries.ended(output.remote_deployment_id)
        again = await deliveries.send(parcel, wait_for="loaded")
    assert ("loaded", True, loads + 1) == (state["status"], deliveries.has(parcel), deliveries.gate.loads)
    assert (True, output.remote_deployment_id) == (again.success, again.remote_deployment_id)
    assert not deliveries.has_incoming(output.remote_deployment_id)


@pytest.mark.parametrize(("injection", "loads"), [(AT_ONCE, 2), ("fsync:signal=KILL:when=2", 1)])
async def test_a_kill_around_the_record_of_the_load(
    deliveries: Deliveries, parcel: Parcel, injection: str, loads: int
) -> None:
    """Before the rename that records it, the next start loads the image once more; afterwards not."""
    deliveries.gate.hold = "after"
    with deliveries.receiver() as receiver:
        output = await deliveries.send(parcel)
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        await asyncio.to_thread(receiver.trace, injection)
        deliveries.gate.release()
        assert -SIGKILL == await asyncio.to_thread(receiver.end)

    with deliveries.receiver():
        state = await deliveries.ended(output.remote_deployment_id)
        again = await deliveries.send(parcel, wait_for="loaded")
    assert ("loaded", output.remote_deployment_id) == (state["status"], again.remote_deployment_id)
    assert loads == deliveries.gate.loads


async def test_a_sender_outlives_the_receiver(deliveries: Deliveries, parcel: Parcel) -> None:
    """Killed while it loads, and restarted: a sender that waits for the load sees it, and sends nothing twice."""
    deliveries.gate.hold = "midway"
    with deliveries.receiver() as receiver:
        sending = asyncio.create_task(deliveries.send(parcel, wait_for="loaded"))
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        await asyncio.to_thread(receiver.kill)
    deliveries.gate.release()
    with deliveries.receiver():
        output = await sending
    assert (True, "loaded", 1) == (output.success, output.deployment_status, output.attempts)


# Damaged while the receiver was down


def flipped(content: bytes, position: int) -> bytes:
    """Return the bytes with one bit flipped."""
    damaged = bytearray(content)
    damaged[position] ^= 1
    return bytes(damaged)


async def test_a_package_that_was_damaged_while_it_was_down_is_not_loaded(deliveries: Deliveries) -> None:
    """A bit flipped anywhere, a byte less, a byte more: CHECKSUM_MISMATCH, and the engine is not called."""
    damages: list[tuple[bool, Callable[[bytes], bytes]]] = [
        (True, lambda content: flipped(content, 0)),
        (True, lambda content: flipped(content, len(content) // 2)),
        (True, lambda content: flipped(content, -1)),
        (False, lambda content: flipped(content, 0)),
        (False, lambda content: flipped(content, len(content) // 2)),
        (False, lambda content: content[:-1]),
        (False, lambda content: content + b"\0"),
    ]
    deliveries.gate.hold = "before"
    deployments = []
    with deliveries.receiver() as receiver:
        for is_gzip, _ in damages:
            output = await deliveries.send(await asyncio.to_thread(deliveries.parcel, is_gzip=is_gzip))
            deployments.append(str(output.remote_deployment_id))
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        await asyncio.to_thread(receiver.kill)
    for deployment_id, (_, damaged) in zip(deployments, damages, strict=True):
        file = deliveries.package_file(deployment_id)
        file.write_bytes(damaged(file.read_bytes()))
    deliveries.gate.release()

    with deliveries.receiver():
        states = [await deliveries.ended(deployment_id) for deployment_id in deployments]
    assert [("failed", "CHECKSUM_MISMATCH")] * len(damages) == [(one["status"], one["error_code"]) for one in states]
    assert 0 == deliveries.gate.loads


@pytest.mark.parametrize("is_gzip", [True, False])
async def test_a_package_that_is_damaged_while_it_is_loaded(
    deliveries: Deliveries, real_engine: RealEngine, *, is_gzip: bool
) -> None:
    """CHECKSUM_MISMATCH, and the engine has no image, not even one of another name that the damage has made."""
    layers = [layer(hello=os.urandom(8_000_000))]
    parcel = await asyncio.to_thread(deliveries.parcel, layers, is_gzip=is_gzip)
    other = real_engine.remove_later(parcel.reference.replace(":1.0", ":1.1"))
    deliveries.gate.hold = "before"
    with deliveries.receiver():
        deployment_id = str((await deliveries.send(parcel)).remote_deployment_id)
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        file = deliveries.package_file(deployment_id)
        with file.open("r+b") as opened:  # the receiver has it open, too
            at = len(parcel.content) - 100_000 if is_gzip else parcel.content.rindex(b":1.0") + len(":1.")
            opened.seek(at)
            opened.write(bytes([parcel.content[at] ^ 1]))
        deliveries.gate.release()
        state = await deliveries.ended(deployment_id)
    assert ("failed", "CHECKSUM_MISMATCH") == (state["status"], state["error_code"])
    assert [] == [name for name in (parcel.reference, other) if real_engine.api.images(name)]


# Without room


@pytest.fixture
def disk(deliveries: Deliveries) -> Iterator[Path]:
    """A small disk for the receiver's store."""
    with small_disk(deliveries.store, DISK_BYTES) as disk:
        yield disk


async def test_a_full_disk(deliveries: Deliveries, parcel: Parcel, disk: Path) -> None:
    """TRANSFER_FAILED that says where to free space; nothing stays, and with space the same package succeeds."""
    with deliveries.receiver():
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(DISK_BYTES - 500_000))
        output = await deliveries.send(parcel, attempts=3)
        assert ([], [], 200) == (deliveries.kept(), deliveries.staged(), (await deliveries.ask("/healthz")).status_code)
        ballast.unlink()
        again = await deliveries.send(parcel, wait_for="loaded")

    assert (ErrorCode.TRANSFER_FAILED, 1) == failed(output)
    assert "507 Insufficient Storage: the receiver's disk is full" in str(output.error_message)
    assert "Free space on the receiver's disk, then transfer again." == output.recovery
    assert (True, "loaded", 1) == (again.success, again.deployment_status, deliveries.gate.loads)


async def test_a_disk_without_room_for_a_name(deliveries: Deliveries, parcel: Parcel) -> None:
    """The same where a folder or the document cannot be made, at any step of the write."""
    with small_disk(deliveries.store, DISK_BYTES, files=50) as disk, deliveries.receiver():
        for free in range(4):  # first there is no name for `staging`, at last none for `packages`
            ballast = disk / f"ballast-{free}"
            await asyncio.to_thread(fill, ballast, free)
            output = await deliveries.send(parcel)
            assert ((ErrorCode.TRANSFER_FAILED, 1), []) == (failed(output), deliveries.staged()), free
            assert "507 Insufficient Storage" in str(output.error_message)
            await asyncio.to_thread(shutil.rmtree, ballast)
        assert (await deliveries.send(parcel, wait_for="loaded")).success


def fill(ballast: Path, free: int) -> None:
    """Use up all but a few of the inodes of a disk."""
    ballast.mkdir()
    number = 0
    with suppress(OSError):
        while True:
            (ballast / str(number)).touch()
            number += 1
    for last in range(number - free, number):
        (ballast / str(last)).unlink()


async def test_a_disk_that_is_full_when_the_image_is_loaded(deliveries: Deliveries, parcel: Parcel, disk: Path) -> None:
    """Its status is loaded, though that is not on the disk; a start after a kill loads it again, and reports it."""
    deliveries.gate.hold = "after"
    with deliveries.receiver() as receiver:
        output = await deliveries.send(parcel)
        assert await eventually_in_thread(deliveries.gate.held.is_set)
        ballast = disk / "ballast"
        with suppress(OSError):
            await asyncio.to_thread(ballast.write_bytes, bytes(DISK_BYTES))
        deliveries.gate.release()
        assert "loaded" == (await deliveries.ended(output.remote_deployment_id))["status"]
        await asyncio.to_thread(receiver.kill)
    ballast.unlink()

    with deliveries.receiver():
        assert "loaded" == (await deliveries.ended(output.remote_deployment_id))["status"]
    assert 2 == deliveries.gate.loads
