"""Ctrl-C at each stage of a shipment: what is known is printed, and no event reports what is not known."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.engine.engines import RealEngine
from support.engine.load_gate import LoadGate
from support.process.command import Command
from support.receiver.process import ReceiverProcess

LARGE_BYTES = 24_000_000  # far more than sockets hold
SOME_BYTES = 100_000


@pytest.fixture
def command(tmp_path: Path, real_engine: RealEngine) -> Command:
    """The command; the engine is cleaned up after it."""
    return Command(tmp_path, real_engine.base_image, real_engine.new_image())


@contextmanager
def stalling() -> Iterator[tuple[str, threading.Event]]:
    """Listen as a receiver without /info, which reads the beginning of a package and then stops reading.

    Yields:
        Its URL, and an event that is set when it has read so far.
    """
    begun, ended = threading.Event(), threading.Event()

    def respond(connection: socket.socket) -> None:
        with connection:
            read = connection.recv(65_536)
            if read.startswith(b"GET "):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            seen = len(read)
            while seen < SOME_BYTES:
                seen += len(connection.recv(65_536))
            begun.set()
            ended.wait()

    def serve() -> None:
        while not begun.is_set():
            respond(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", begun
        finally:
            ended.set()
            thread.join()


def test_a_shipment_interrupted_while_it_uploads_has_failed(command: Command) -> None:
    """DEPLOYMENT_FAILED is published, as the receiver cannot have the package, which can be sent again."""
    (command.context("COPY noise /noise") / "noise").write_bytes(os.urandom(LARGE_BYTES))
    with stalling() as (url, begun):
        process = command.start(*command.ship(url, "--compression", "none"))
        assert begun.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    (package,) = command.document("packages")["packages"]

    assert 130 == process.returncode
    kept = f"package {package['package_id']} was not sent and is kept"
    assert f"{kept}: deployment-sender transfer {package['package_id']} --to {url}\nerror: interrupted\n" in err
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED", "DEPLOYMENT_FAILED"] == command.events()


def test_a_shipment_interrupted_while_it_waits_has_not_failed(
    command: Command, real_engine: RealEngine, tmp_path: Path
) -> None:
    """The deployment's id and the command for its status are printed, and no event reports a failure."""
    command.context()
    with LoadGate(real_engine.docker_host) as gate:
        gate.hold = "before"
        with ReceiverProcess(tmp_path / "receiver", environ={"DOCKER_HOST": gate.docker_host}) as receiver:
            process = command.start(*command.ship(receiver.url))
            assert process.stderr is not None
            seen = ""
            while "the receiver is loading the image" not in seen:
                seen += process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=120)
            events = command.events()
            (deployment_id,) = re.findall(r"is sent and verified; the receiver continues with deployment (\S+)\n", err)
            look = re.findall(r"to check: deployment-sender (.*)\n", err)[0].split()
            again = re.findall(r"to continue waiting: deployment-sender (.*)\n", err)[0].split()
            looked = command.document(*look)
            gate.release()
            waited = command.document(*again)

    assert 130 == process.returncode
    assert err.endswith("error: interrupted\n")
    assert ["BUILD_STARTED", "BUILD_COMPLETED", "TRANSFER_STARTED"] == events
    assert (deployment_id, "loading") == (looked["deployment_id"], looked["status"])
    assert (deployment_id, "loaded") == (waited["remote_deployment_id"], waited["deployment_status"])
