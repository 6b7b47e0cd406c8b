"""The command as a process, against the real engine and a real receiver."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine.engines import RealEngine
from support.kafka.broker import KafkaBroker
from support.process.command import Command
from support.receiver.process import ReceiverProcess

DEMO_IMAGE = "deployment-sender-demo:1.0"
NOBODY = "http://127.0.0.1:1"
PACKAGE_ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"


@pytest.fixture
def command(tmp_path: Path, real_engine: RealEngine) -> Command:
    """The command; the engine is cleaned up after it."""
    return Command(tmp_path, real_engine.base_image, real_engine.new_image())


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """A receiver that loads and does not run."""
    with ReceiverProcess(tmp_path_factory.mktemp("receiver")) as process:
        yield process


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker for one test."""
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


def containers(engine: RealEngine) -> list[str]:
    """Return the containers that a demo may have left."""
    return [one["Id"] for one in engine.api.containers(all=True, filters={"ancestor": DEMO_IMAGE})]


def test_the_demo_ends_with_a_running_image(command: Command, real_engine: RealEngine) -> None:
    """It prints deployment, checksum, throughput and the container's first line, and only the image stays."""
    real_engine.remove_later(DEMO_IMAGE)
    done = command.run("demo")

    assert 0 == done.returncode, done.stderr
    assert [str(n) for n in range(1, 8)] == re.findall(r"^(\d)\. ", done.stdout, re.MULTILINE)
    for pattern in (r"deployment  [0-9a-f-]{36}", "status      running", r"BLAKE3      [0-9a-f]{64}", r"MB/s"):
        assert re.search(pattern, done.stdout), pattern
    assert "it prints   Hello! This container was built on one machine" in done.stdout
    assert f"{DEMO_IMAGE} stays" in done.stdout
    assert real_engine.api.inspect_image(DEMO_IMAGE)["Id"]  # type: ignore[no-untyped-call]
    assert ([], []) == (containers(real_engine), list(command.temporary.iterdir()))


def test_the_demo_prints_one_document_for_programs(command: Command, real_engine: RealEngine) -> None:
    """Without a container, the image is loaded."""
    real_engine.remove_later(DEMO_IMAGE)
    document = command.document("demo", "--no-run")

    assert (True, "loaded", True) == (
        document["success"],
        document["transfer"]["deployment_status"],
        document["transfer"]["checksum_verified"],
    )
    assert 4 == len(document["events"])
    assert 1 == document["metrics"]["successful_transfers"]


def test_the_demo_prints_what_to_do_without_a_base_image(command: Command) -> None:
    """Nothing is left behind."""
    command.environ["DEPLOYMENT_SENDER_BASE_IMAGE"] = "deployment-sender.invalid/no/such:image"
    done = command.run("demo")

    assert 1 == done.returncode
    assert "error: BUILD_FAILED" in done.stderr
    assert "set DEPLOYMENT_SENDER_BASE_IMAGE" in done.stderr
    assert [] == list(command.temporary.iterdir())


def test_an_interrupted_demo_cleans_up(command: Command, real_engine: RealEngine) -> None:
    """Folders and containers are removed, whatever step was interrupted."""
    real_engine.remove_later(DEMO_IMAGE)
    process = command.start("demo")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("4. "):
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)

    assert 130 == process.returncode
    assert ([], []) == (containers(real_engine), list(command.temporary.iterdir()))


def test_a_shipment_arrives(command: Command, receiver: ReceiverProcess, real_engine: RealEngine) -> None:
    """Both results are printed, and the receiving engine has the image."""
    command.context()
    done = command.run(*command.ship(receiver.url))

    assert 0 == done.returncode, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert ["deployment", "status", "BLAKE3", "transfer", "events", "total"] == names[8:]
    assert real_engine.api.inspect_image(command.reference)["Id"]  # type: ignore[no-untyped-call]
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "TRANSFER_COMPLETED"] == command.events()


def test_a_shipment_is_one_document_for_programs(command: Command, receiver: ReceiverProcess) -> None:
    """Also if progress is printed to stderr."""
    command.context()
    document = command.document(*command.ship(receiver.url, "--verbose", "--correlation-id", "deploy-001"))

    assert (True, "deploy-001", "loaded", 4) == (
        document["success"],
        document["correlation_id"],
        document["transfer"]["deployment_status"],
        len(document["events"]),
    )


def test_a_shipment_publishes_to_a_broker(command: Command, receiver: ReceiverProcess, broker: KafkaBroker) -> None:
    """Each event has the broker's own partition and offset."""
    command.context()
    command.environ["KAFKA_BOOTSTRAP_SERVERS"] = broker.address
    document = command.document(*command.ship(receiver.url))

    assert [True] * 4 == [event["event_published"] for event in document["events"]]
    assert all(event["offset"] is not None for event in document["events"])


def test_package_list_transfer_and_remove(command: Command, receiver: ReceiverProcess) -> None:
    """A package goes through the single commands."""
    name, _, tag = command.reference.partition(":")
    package = command.document("package", str(command.context()), "--name", name, "--tag", tag, "--compression", "zstd")
    package_id = package["package_id"]
    listed = command.run("packages")
    transfer = command.document("transfer", package_id, "--to", receiver.url, "--wait-for", "received")
    removed = command.run("packages", "remove", package_id)

    assert ("zstd", True, True) == (package["compression"], package_id in listed.stdout, transfer["transfer_success"])
    assert (0, {"packages": []}) == (removed.returncode, command.document("packages"))


def test_a_secret_build_argument_comes_from_the_environment(command: Command, receiver: ReceiverProcess) -> None:
    """The build gets it, and it is never printed."""
    command.context('ARG TOKEN\nRUN test -n "$TOKEN" && echo it is $TOKEN && false')
    command.environ["TOKEN"] = "s3cret"
    done = command.run(*command.ship(receiver.url, "--build-arg", "TOKEN", "--verbose"))

    assert 1 == done.returncode
    assert "it is" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_receiver_that_does_not_respond_is_reported_before_the_build(command: Command) -> None:
    """Nothing is built, stored or published."""
    command.context()
    done = command.run(*command.ship(NOBODY))

    assert (1, "") == (done.returncode, done.stdout)
    assert "error: REMOTE_UNREACHABLE: " in done.stderr
    assert "what to do: " in done.stderr
    assert ([], {"packages": []}) == (command.events(), command.document("packages"))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"DEPLOYMENT_RECEIVER_SIGNING_KEYS": f"main:{'k' * 32}"}, "401 Unauthorized: the request must be signed"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "the receiver's engine does not respond: "),
    ],
    ids=["key", "engine"],
)
def test_a_receiver_that_cannot_deploy_is_reported_before_the_build(
    command: Command, tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    """If its key does not match or its engine is down, nothing is built, stored or published."""
    command.context()
    with ReceiverProcess(tmp_path / "receiver", environ=environ) as receiver:
        done = command.run(*command.ship(receiver.url))

    assert (1, "") == (done.returncode, done.stdout)
    assert words in done.stderr
    assert "what to do: " in done.stderr
    assert ([], {"packages": []}) == (command.events(), command.document("packages"))


def test_a_receiver_that_goes_away_after_the_build_is_waited_for(command: Command, tmp_path: Path) -> None:
    """Each attempt is a line; after the time limit the package is kept, and the command to send it again is printed."""
    command.context("RUN echo now && sleep 1")
    with ReceiverProcess(tmp_path / "receiver") as receiver:
        process = command.start(*command.ship(receiver.url, "--verbose", "--transfer-timeout", "1"))
        assert process.stderr is not None
        while process.stderr.readline() != "  now\n":
            pass
    _, err = process.communicate(timeout=60)

    assert 1 == process.returncode
    assert "Connection refused; trying again in " in err
    assert "error: REMOTE_UNREACHABLE: the receiver did not have the package after 1 s and " in err
    assert "deployment-sender transfer " in err
    assert "DEPLOYMENT_FAILED" == command.events()[-1]


def test_a_bad_dockerfile_fails_with_the_end_of_its_log(command: Command, receiver: ReceiverProcess) -> None:
    """So the reason is on the screen."""
    command.context("RUN echo just before it breaks && false")
    done = command.run(*command.ship(receiver.url))

    assert 1 == done.returncode
    assert "error: BUILD_FAILED: " in done.stderr
    assert "just before it breaks" in done.stderr
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == command.events()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["package", ".", "--name", "a", "--tag", "-1"], "image_tag"),
        (["package", "/no/such/folder", "--name", "a", "--tag", "1"], "/no/such/folder"),
        (["transfer", PACKAGE_ID, "--to", NOBODY], f"there is no package '{PACKAGE_ID}'"),
        (["transfer", "../../etc", "--to", NOBODY], "package_id"),
        (["publish", "TEA_STARTED"], "event_type"),
        (["doctor", "--to", "ftp://edge"], "remote_receiver_url"),
        (["packages", "--nonsense"], "No such option"),
    ],
)
def test_a_mistake_has_exit_code_2(command: Command, arguments: list[str], words: str) -> None:
    """The message says what is wrong, without a traceback."""
    done = command.run(*arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_shipment(command: Command, receiver: ReceiverProcess, number: signal.Signals) -> None:
    """With DEPLOYMENT_FAILED and exit code 130, long before the build would end; no package is left."""
    command.context("RUN echo now && sleep 3600")
    process = command.start(*command.ship(receiver.url, "--verbose"))
    assert process.stderr is not None
    while process.stderr.readline() != "  now\n":
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=120)

    assert (130, "") == (process.returncode, out)
    assert err.endswith("error: interrupted\n")
    assert ["BUILD_STARTED", "DEPLOYMENT_FAILED"] == command.events()
    assert {"packages": []} == command.document("packages")


def test_publish_events_and_metrics_use_one_outbox(command: Command) -> None:
    """An event that one command records is listed and counted by the others."""
    published = command.document("publish", "BUILD_STARTED", "--name", "a", "--tag", "1")

    assert (True, False, True) == (published["success"], published["event_published"], published["queued"])
    assert published["event_id"] in command.run("events").stdout
    assert 1 == command.document("metrics")["events_waiting"]


def test_waiting_events_are_flushed_to_a_broker_that_is_back(command: Command, broker: KafkaBroker) -> None:
    """`events flush` delivers them."""
    command.run("publish", "BUILD_STARTED")
    command.environ["KAFKA_BOOTSTRAP_SERVERS"] = broker.address
    done = command.run("events", "flush")

    assert (0, "1 sent, 0 waiting, 0 failed\n") == (done.returncode, done.stdout)


def test_a_doctor_finds_that_all_is_well(command: Command, receiver: ReceiverProcess) -> None:
    """Every check has a verdict."""
    document = command.document("doctor", "--to", receiver.url)

    assert document["success"]
    assert [
        *("engine", "packages", "broker", "receiver", "key", "clock"),
        *("engine there", "disk there", "platform", "run"),
    ] == [check["subject"] for check in document["checks"]]
    assert {"ok"} == {check["verdict"] for check in document["checks"]}


def test_a_doctor_finds_a_missing_engine(command: Command) -> None:
    """The exit code is 1, and the advice is printed."""
    command.environ["DOCKER_HOST"] = "unix:///no/such/docker.sock"
    done = command.run("doctor")

    assert 1 == done.returncode
    assert "fail  engine    DOCKER_UNAVAILABLE: " in done.stdout
    assert "what to do: " in done.stdout


def test_metrics_of_a_receiver(command: Command, receiver: ReceiverProcess) -> None:
    """They are numbers for programs."""
    assert "deployment_receiver_uploads_stored_total" in command.document("metrics", "--receiver", receiver.url)


def test_a_terminal_shows_a_progress_bar(command: Command, receiver: ReceiverProcess) -> None:
    """It shows building and exporting or uploading, and is removed at the end."""
    command.context("RUN echo slowly && sleep 1")
    leader, follower = pty.openpty()
    process = command.start(*command.ship(receiver.url), stderr=follower)
    os.close(follower)
    shown = _read_all(leader)
    process.communicate(timeout=60)

    assert 0 == process.returncode
    assert "building" in shown
    assert "slowly" in shown


def _read_all(leader: int) -> str:
    """Read a terminal until its other end is closed, which Linux reports as EIO."""
    shown = b""
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:
            pass
    return shown.decode(errors="replace")


def test_the_console_script_is_the_same(command: Command) -> None:
    """It is the script that pip has installed."""
    script = Path(sys.executable).with_name("deployment-sender")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)

    assert command.run("--version").stdout == done.stdout


def test_a_reader_that_goes_away_sees_no_traceback(command: Command) -> None:
    """As with `| head`."""
    process = command.start("--help")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert "Traceback" not in process.stderr.read()
    process.wait(30)
