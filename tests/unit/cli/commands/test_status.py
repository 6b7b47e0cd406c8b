"""`deployment-sender status`."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.receiver.scripted import Reply, ScriptedReceiver

if TYPE_CHECKING:
    from ..conftest import CommandLine

DEPLOYMENT: dict[str, object] = {
    "deployment_id": "d-1",
    "container_name": "hello",
    "image_tag": "1.0",
    "status": "failed",
    "will_run": True,
    "received_at": "2026-01-01T10:20:30.123456+00:00",
    "error_code": "BUILD_FAILED",
    "error_message": "it exits with 1\nits last line",
}


@contextmanager
def receiver(*replies: Reply) -> Iterator[ScriptedReceiver]:
    """Run a receiver beside the command, which has a loop of its own."""
    loop = asyncio.new_event_loop()
    scripted = ScriptedReceiver(*replies)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(scripted.__aenter__(), loop).result(10)
        yield scripted
        asyncio.run_coroutine_threadsafe(scripted.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_latest_deployments_are_listed(cli: "CommandLine") -> None:
    """One line each, with the first line of its error."""
    with receiver(Reply(body={"deployments": [DEPLOYMENT]})) as there:
        printed = cli.run("status", "--to", there.url, "--limit", "5")

    assert "/deployments?limit=5" == there.heard[0].target
    assert [
        "DEPLOYMENT  IMAGE      STATUS  RECEIVED (UTC)",
        "d-1         hello:1.0  failed  2026-01-01 10:20:30  it exits with 1",
    ] == printed.out.splitlines()


def test_one_deployment_is_shown_completely(cli: "CommandLine") -> None:
    """With every line of its message, and without the fields that are not known."""
    with receiver(Reply(body=DEPLOYMENT)) as there:
        printed = cli.run("status", "d/1", "--to", there.url)

    assert "/deployments/d%2F1" == there.heard[0].target
    assert [
        "deployment id   d-1",
        "container name  hello",
        "image tag       1.0",
        "status          failed",
        "error code      BUILD_FAILED",
        "error message   it exits with 1",
        "                its last line",
        "will run        yes",
        "received at     2026-01-01T10:20:30.123456+00:00",
    ] == printed.out.splitlines()


def test_programs_get_the_receivers_response(cli: "CommandLine") -> None:
    """It is unchanged."""
    with receiver(Reply(body=DEPLOYMENT)) as there:
        assert DEPLOYMENT == cli.document("status", "d-1", "--to", there.url)


def test_a_receiver_without_deployments_is_no_error(cli: "CommandLine") -> None:
    """One line says that there are none."""
    with receiver(Reply(body={"deployments": []})) as there:
        url, printed = there.url, cli.run("status", "--to", there.url)

    assert (0, f"no deployments at {url}\n") == (printed.code, printed.out)


def test_a_missing_deployment_is_an_error(cli: "CommandLine") -> None:
    """With the receiver's message."""
    with receiver(Reply(404, {"error_message": "there is no such deployment"})) as there:
        printed = cli.run("status", "d-2", "--to", there.url)

    assert (1, "") == (printed.code, printed.out)
    assert "the receiver responded 404 Not Found: there is no such deployment" in printed.err


def test_something_else_than_a_receiver_is_an_error(cli: "CommandLine") -> None:
    """A web page, for example."""
    with receiver(Reply(200, "<html>")) as there:
        printed = cli.run("status", "--to", there.url)

    assert 1 == printed.code
    assert "does not respond as a receiver does" in printed.err
