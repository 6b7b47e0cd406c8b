"""Ctrl-C at each stage of a shipment: what is known is told, and no event says what is not so."""

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
    """The command, and the engine that is cleaned up after it."""
    return Command(tmp_path, real_engine.base_image, real_engine.new_image())


@contextmanager
def stalling() -> Iterator[tuple[str, threading.Event]]:
    """Listen as a receiver that says nothing of itself, and reads a package's beginning and no more.

    Yields:
        Where it listens, and what is set when it has read so far.
    """
    begun, ended = threading.Event(), threading.Event()

    def answer(connection: socket.socket) -> None:
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
            answer(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", begun
        finally:
            ended.set()
            thread.join()


def test_during_the_upload_it_has_failed(command: Command) -> None:
    """The receiver cannot have the package: DEPLOYMENT_FAILED is so; the package is kept, and how to send it told."""
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


def test_during_the_wait_it_goes_on(command: Command, real_engine: RealEngine, tmp_path: Path) -> None:
    """Sent, verified, the deployment's id and how to look; it ends well, and no event has said that it failed."""
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
