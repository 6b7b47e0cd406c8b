"""A short soak, one that is interrupted, and each of its checks: that it can fail."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from soak.__main__ import conclude
from soak.checks import verdicts
from soak.evidence import Deployed, Evidence, Published
from soak.left import left_files, received_packages
from soak.plan import Plan
from soak.process import Belongings, open_files
from support.engine.engines import RealEngine
from support.http.fault_proxy import FaultProxy
from support.kafka.broker import BrokerRecord, KafkaBroker

ROOT = Path(__file__).parents[2]


def soak(temporary: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start it, with its folder where the test sees it."""
    return subprocess.Popen(
        [sys.executable, "-m", "soak", *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_short_run_passes_every_check(tmp_path: Path) -> None:
    """With a transfer that is cut, one whose receipt is lost, and a broker that restarts twice."""
    process = soak(tmp_path, "--count", "10", "--seed", "6", "--json")
    output, printed = process.communicate()

    assert 0 == process.returncode, output + printed
    document = json.loads(output)
    figures = document["figures"]
    assert [] == [check for check in document["checks"] if not check["ok"]]
    assert (10, 2, 2, 2) == tuple(
        figures[name] for name in ("deployments", "transfers cut", "retries", "broker restarts")
    )
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, real_engine: RealEngine, number: signal.Signals) -> None:
    """No image, no step of one, no folder; its children are gone."""
    process = soak(tmp_path, "--count", "1000")
    assert process.stderr is not None
    assert "5 of 1000" in process.stderr.readline()
    (image,) = tmp_path.glob("*/contexts/0/Dockerfile")
    label = image.read_text().splitlines()[1].removeprefix("LABEL ")
    filters = {"label": label}
    assert real_engine.api.images(filters=filters)

    process.send_signal(number)
    _, printed = process.communicate()

    assert (130, "soak: interrupted; what was made is removed") == (process.returncode, printed.splitlines()[-1])
    assert [] == real_engine.api.images(filters=filters, all=True)
    assert [] == real_engine.api.containers(filters=filters, all=True)
    assert [] == list(tmp_path.iterdir())


def evidence() -> Evidence:
    """A run of two deployments, the second of which was cut, without a fault."""
    deployed = [
        Deployed(number, cut=cut, package_id=f"p{number}", checksum=f"c{number}", size_bytes=10, attempts=1 + cut)
        for number, cut in ((0, False), (1, True))
    ]
    events = [
        Published(f"e{number}", f"p{number % 2}", accepted=True, acknowledged=number != 1, duration_ms=1)
        for number in range(4)
    ]
    counts = {"total": 2, "successful": 2, "failed": 0, "cancelled": 0}
    metrics: dict[str, int | float | None] = {
        f"{name}_{kind}": n for kind in ("builds", "transfers") for name, n in counts.items()
    }
    metrics |= {"total_publishes": 4, "successful_publishes": 3, "failed_publishes": 1, "cancelled_publishes": 0}
    metrics |= {"total_events_published": 3, "total_bytes_packaged": 20, "total_bytes_transferred": 20}
    loads = {"uploads_stored_total": 2, "loads_succeeded_total": 2}
    none = ("uploads_refused_total", "uploads_failed_total", "uploads_active", "loads_failed_total")
    return Evidence(
        seed=1,
        concurrency=5,
        deployed=deployed,
        events=events,
        seconds=1,
        flushed=1,
        metrics=metrics,
        receiver_metrics=loads | dict.fromkeys(none, 0),
        outbox={"waiting": 0, "sent": 4, "failed": 0},
        received={"p0": "c0", "p1": "c1"},
        records=[record(number) for number in (0, 1, 2, 2, 3)],
    )


def record(number: int, timestamp_ms: int | None = None) -> BrokerRecord:
    """One of the events in the broker."""
    value = json.dumps({"envelope_id": f"e{number}"}).encode()
    return BrokerRecord(
        "topic", 0, number, f"p{number % 2}", value, 10 * number if timestamp_ms is None else timestamp_ms
    )


def test_a_run_without_a_fault_passes() -> None:
    """An event may come twice."""
    assert [] == [verdict for verdict in verdicts(evidence()) if verdict.complaints]


@pytest.mark.parametrize(
    ("spoil", "title"),
    [
        (lambda run: run.deployed[0].failures.append("BUILD_FAILED"), "every deployment succeeded"),
        (lambda run: run.received.update(p0="other"), "every package is in the receiver's store and matches"),
        (lambda run: run.received.pop("p1"), "every package is in the receiver's store and matches"),
        (lambda run: run.received.update({"p0 again": "c0"}), "every package is in the receiver's store and matches"),
        (lambda run: run.records.pop(1), "every event is in the broker"),
        (lambda run: run.records.append(record(9)), "every event is in the broker"),
        (lambda run: setattr(run.events[3], "accepted", False), "every event is in the broker"),
        (lambda run: run.records.append(record(2, -1)), "the first deliveries of each package are in order"),
        (lambda run: run.metrics.update(total_builds=3), "the node's metrics add up"),
        (lambda run: run.metrics.update(total_events_published=4), "the node's metrics add up"),
        (lambda run: setattr(run.deployed[0], "attempts", 2), "one retry for each cut, and one load for each package"),
        (lambda run: setattr(run.deployed[1], "attempts", 1), "one retry for each cut, and one load for each package"),
        (
            lambda run: run.receiver_metrics.update(loads_succeeded_total=3),
            "one retry for each cut, and one load for each package",
        ),
        (lambda run: run.outbox.update(waiting=1), "the outbox is empty"),
        (lambda run: run.left_files.append("draft"), "no file has stayed"),
        (lambda run: run.leaks.append("thread"), "no thread, task or descriptor has leaked"),
    ],
)
def test_each_check_can_fail(spoil: Callable[[Evidence], object], title: str) -> None:
    """With what speaks against it."""
    run = evidence()
    spoil(run)

    failed = [verdict.title for verdict in verdicts(run) if verdict.complaints]

    assert title in failed


@pytest.mark.parametrize("as_json", [False, True])
def test_a_check_that_fails_fails_the_run(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """The report names it, with its reason."""
    run = evidence()
    run.left_files.append("/tmp/draft")

    assert (True, False) == (conclude(evidence(), as_json=as_json), conclude(run, as_json=as_json))
    assert "/tmp/draft" in capsys.readouterr().out


def test_what_should_not_be_on_a_disk_is_named(tmp_path: Path) -> None:
    """Drafts, packages that are not whole, temporary files; nothing else."""
    sender, receiver, temporary = (tmp_path / name for name in ("sender", "receiver", "temporary"))
    good = ["packages/1/image.tar.gz", "packages/1/manifest.json", "outbox.sqlite3", "outbox.lock"]
    bad = [sender / "staging/2", sender / "packages/3/manifest.json", sender / "draft", receiver / "staging/4"]
    bad += [receiver / "packages/5/deployment.new", temporary / "6"]
    for path in [*bad, *(sender / name for name in good)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    left = left_files(sender, receiver, temporary)

    assert len(bad) == len(left)
    assert [] == [name for name in left if "packages/1" in name]


def test_a_package_that_was_kept_twice_is_seen(tmp_path: Path) -> None:
    """It has a name that no other has."""
    for name in ("a", "b"):
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        (folder / "package").write_bytes(b"content")
        (folder / "deployment.json").write_text('{"package_id": "p"}')

    assert {"p", "p again"} == set(received_packages(tmp_path))


def test_what_leaks_is_seen(tmp_path: Path) -> None:
    """A thread, a task and a descriptor; what the loop's pool has is none."""
    end = threading.Event()

    async def leak() -> list[str]:
        belongings = Belongings()
        await asyncio.to_thread(bool)
        thread = threading.Thread(target=end.wait, name="left")
        thread.start()
        task = asyncio.create_task(asyncio.Event().wait())
        with await asyncio.to_thread((tmp_path / "left").open, "w"):
            leaks = await belongings.leaked(settles_in_seconds=0)
        task.cancel()
        return leaks

    try:
        leaks = asyncio.run(leak())
    finally:
        end.set()

    assert ["descriptor of", "task <coroutine", "thread left:"] == [" ".join(leak.split()[:2]) for leak in leaks]


def test_a_file_that_a_process_keeps_open_is_seen(tmp_path: Path) -> None:
    """Until it is closed."""
    with (tmp_path / "kept").open("w"):
        seen = open_files(os.getpid(), tmp_path)

    assert [f"process {os.getpid()} has {tmp_path}/kept open"] == seen
    assert [] == open_files(os.getpid(), tmp_path)


def test_a_broker_that_has_just_started_can_be_saved_and_killed(tmp_path: Path) -> None:
    """However soon."""
    broker = KafkaBroker(tmp_path)
    try:
        for _ in range(60):
            broker.start()
            broker.save_and_kill()
    finally:
        broker.kill()


async def test_a_proxy_that_is_left_leaves_no_connection() -> None:
    """However far the end of one has come."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"response")
        writer.close()

    belongings = Belongings()
    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        for turns in range(20):
            async with FaultProxy(f"http://{host}:{port}") as proxy:
                reader, writer = await asyncio.open_connection(host, urlsplit(proxy.url).port)
                writer.write(b"question\n")
                await reader.readexactly(6)
                writer.close()
                for _ in range(turns):
                    await asyncio.sleep(0)

    assert [] == await belongings.leaked()


def test_a_seed_says_what_goes_wrong() -> None:
    """One transfer in five, and restarts in between."""
    plans = [Plan.make(seed=seed, count=100, concurrency=5) for seed in (1, 1, 2)]

    assert plans[0] == plans[1]
    assert plans[0].cuts != plans[2].cuts
    assert [20, 20] == [len(plan.cuts) for plan in plans[1:]]
    assert min(plans[0].restarts) > 0
    assert max(plans[0].restarts) < 100
