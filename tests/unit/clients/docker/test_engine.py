"""The client as its callers see it, against an engine whose responses the test chooses."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine, open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    BuildError,
    EngineUnavailableError,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest, ContainerEngine, EngineInfo
from support.engine.engines import FakeEngine
from support.engine.fake_daemon import Exchange, FakeDaemon
from support.eventually import eventually

DONE: tuple[Any, ...] = ({"aux": {"ID": "sha256:0123456789abcdef"}}, {"stream": "Successfully built 0123456789ab\n"})


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's ~/.docker/config.json does not matter."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def threads() -> Callable[[], list[str]]:
    """Return the client's threads that started during this test: an earlier test's may not have ended yet."""
    others = set(threading.enumerate())

    def living() -> list[str]:
        return [one.name for one in threading.enumerate() if one not in others and one.name.startswith("docker-engine")]

    return living


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine."""
    with FakeDaemon(tmp_path / "engine.sock") as daemon:
        yield daemon


@pytest.fixture
async def engine(daemon: FakeDaemon) -> AsyncIterator[DockerEngine]:
    """Our client of it, with short time-outs."""
    engine = DockerEngine(
        docker_host=daemon.docker_host,
        connect_timeout_seconds=2,
        response_timeout_seconds=0.3,
        build_timeout_seconds=1,
        load_timeout_seconds=0.3,
    )
    yield engine
    await engine.close()


@pytest.fixture
async def unhurried(daemon: FakeDaemon) -> AsyncIterator[DockerEngine]:
    """Our client of it, with the usual time-outs."""
    engine = await open_engine(docker_host=daemon.docker_host)
    yield engine
    await engine.close()


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    """Something to build."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    return BuildRequest(context, "Dockerfile", "hello:1.0", {"TOKEN": "s3cret"})


def _silent(daemon: FakeDaemon, method: str, path: str) -> threading.Event:
    """Make the engine accept a request and send nothing; return an event that is set when it has one."""
    asked = threading.Event()

    def silent(exchange: Exchange) -> None:
        exchange.body()
        asked.set()
        exchange.wait_until_gone()

    daemon.on(method, path, silent)
    return asked


async def _cancel(task: asyncio.Task[Any], asked: threading.Event) -> None:
    """Cancel a task once the engine has its request; without that it would not end within the test's own time-out."""
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_both_engines_implement_the_port() -> None:
    """Mypy checks it."""
    engines: list[ContainerEngine] = [DockerEngine(), FakeEngine()]

    assert 2 == len(engines)


def test_making_one_touches_nothing(threads: Callable[[], list[str]]) -> None:
    """No thread, no file, whatever the address is."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    DockerEngine(docker_host="unix:///nowhere")

    assert ([], before) == (threads(), os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_open_engine_waits_for_a_response(daemon: FakeDaemon, threads: Callable[[], list[str]]) -> None:
    """Then it is open."""
    engine = await open_engine(docker_host=daemon.docker_host)
    daemon.on("GET", "/info", lambda it: it.respond({"ServerVersion": "1", "Driver": "d", "DockerRootDir": "/r"}))

    assert EngineInfo("1", "d", "/r") == await engine.info()
    await engine.close()
    await engine.close()
    assert [] == threads()


async def test_an_engine_that_is_not_there_leaves_nothing_open(
    tmp_path: Path, threads: Callable[[], list[str]]
) -> None:
    """No thread either."""
    with pytest.raises(OperationError) as caught:
        await open_engine(docker_host=f"unix://{tmp_path}/nothing.sock")

    assert (EngineUnavailableError, []) == (type(caught.value), threads())


async def test_opening_a_silent_engine_ends_in_time(daemon: FakeDaemon) -> None:
    """Within `connect_timeout_seconds`."""
    _silent(daemon, "GET", "/_ping")
    with pytest.raises(OperationError) as caught:
        await open_engine(docker_host=daemon.docker_host, connect_timeout_seconds=0.2)

    assert isinstance(caught.value, EngineUnavailableError)


async def test_opening_can_be_cancelled(daemon: FakeDaemon, threads: Callable[[], list[str]]) -> None:
    """Nothing is left open."""
    asked = _silent(daemon, "GET", "/_ping")
    task = asyncio.create_task(open_engine(docker_host=daemon.docker_host, connect_timeout_seconds=3600))

    await _cancel(task, asked)
    assert [] == threads()


async def test_a_build_reports_its_lines_and_returns_the_image(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest
) -> None:
    """Each on the loop's thread, all of them before it returns."""
    lines: list[str] = []
    daemon.on("POST", "/build", lambda it: it.stream(*({"stream": f"{n}\n"} for n in range(500)), *DONE))
    image_id = await unhurried.build(request_, lines.append)

    assert ("sha256:0123456789abcdef", [*map(str, range(500)), "Successfully built 0123456789ab"]) == (image_id, lines)


async def test_a_failed_build_shows_the_end_of_its_log(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest
) -> None:
    """It is redacted."""
    daemon.on("POST", "/build", lambda it: it.stream({"stream": "one\ntoken s3cret\n"}, {"error": "no s3cret"}))
    with pytest.raises(OperationError) as caught:
        await unhurried.build(request_, lambda _: None)

    assert "The image hello:1.0 could not be built: no ***\nThe end of its log:\none\ntoken ***" == caught.value.message


async def test_a_build_has_a_deadline(daemon: FakeDaemon, engine: DockerEngine, request_: BuildRequest) -> None:
    """It is a BuildError with the log, because the engine was working."""

    def hangs(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk({"stream": "RUN sleep 1000\n"})
        exchange.wait_until_gone()

    daemon.on("POST", "/build", hangs)
    with pytest.raises(OperationError) as caught:
        await engine.build(request_, lambda _: None)

    assert (BuildError, True) == (type(caught.value), "RUN sleep 1000" in caught.value.message)
    assert daemon.exchanges[-1].gone.wait(60)


async def test_a_build_that_never_begins_means_an_unavailable_engine(
    daemon: FakeDaemon, engine: DockerEngine, request_: BuildRequest
) -> None:
    """It is an EngineUnavailableError."""
    _silent(daemon, "POST", "/build")
    with pytest.raises(OperationError) as caught:
        await engine.build(request_, lambda _: None)

    assert isinstance(caught.value, EngineUnavailableError)


async def test_cancelling_a_build_closes_its_connection(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest
) -> None:
    """The engine notices that, and stops."""
    asked = _silent(daemon, "POST", "/build")
    task = asyncio.create_task(unhurried.build(request_, lambda _: None))

    await _cancel(task, asked)
    assert daemon.exchanges[-1].gone.wait(60)


async def test_cancelling_while_the_context_is_sent(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest
) -> None:
    """The engine does not even read it."""
    (request_.context / "large").write_bytes(bytes(20_000_000))
    asked, go_on = threading.Event(), threading.Event()

    def stuck(exchange: Exchange) -> None:
        asked.set()
        go_on.wait()
        exchange.closed = True

    daemon.on("POST", "/build", stuck)
    task = asyncio.create_task(unhurried.build(request_, lambda _: None))

    await _cancel(task, asked)
    go_on.set()


async def test_an_error_of_the_callback_ends_the_build(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest
) -> None:
    """It keeps its type."""

    def hangs(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk({"stream": "a line\n"})
        exchange.wait_until_gone()

    def on_line(line: str) -> None:
        raise KeyError(line)

    daemon.on("POST", "/build", hangs)
    with pytest.raises(KeyError, match="a line"):
        await unhurried.build(request_, on_line)
    assert daemon.exchanges[-1].gone.wait(60)


@pytest.mark.parametrize("sent", [b"", bytes(3_000_000)])
async def test_cancelling_an_export_ends_its_consumer(daemon: FakeDaemon, unhurried: DockerEngine, sent: bytes) -> None:
    """In the silence before the first byte, and in the middle; twice is the same as once."""
    asked = threading.Event()

    def stuck(exchange: Exchange) -> None:
        exchange.begin()
        if sent:
            exchange.chunk(sent)
        asked.set()
        exchange.wait_until_gone()

    began, end = threading.Event(), threading.Event()
    ended: list[BaseException] = []

    def consume(chunks: Iterator[bytes]) -> None:
        began.set()
        try:
            for _ in chunks:
                pass
        except BaseException as exc:
            ended.append(exc)
            end.wait()
            raise

    daemon.on("GET", "/images/hello:1.0/get", stuck)
    task = asyncio.create_task(unhurried.export("hello:1.0", consume))
    await asyncio.to_thread(asked.wait)
    await asyncio.to_thread(began.wait)
    task.cancel()
    await eventually(lambda: ended)
    task.cancel()
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (1, True) == (len(ended), daemon.exchanges[-1].gone.wait(60))


async def test_an_export_returns_the_result_of_its_consumer(daemon: FakeDaemon, unhurried: DockerEngine) -> None:
    """It runs in a thread."""
    daemon.on("GET", "/images/hello:1.0/get", lambda it: it.stream(bytes(2048)))

    assert 2048 == await unhurried.export("hello:1.0", lambda chunks: sum(map(len, chunks)))


async def test_a_load_has_a_deadline(daemon: FakeDaemon, engine: DockerEngine) -> None:
    """It is an EngineUnavailableError."""
    _silent(daemon, "POST", "/images/load")
    with pytest.raises(OperationError) as caught:
        await engine.load(iter([b"x"]))

    assert (EngineUnavailableError, True) == (type(caught.value), "within 0.3 s" in caught.value.message)


async def test_cancelling_a_load_stops_reading(daemon: FakeDaemon, unhurried: DockerEngine) -> None:
    """An endless archive is not read further."""
    asked = threading.Event()

    def chunks() -> Iterator[bytes]:
        while True:
            asked.set()
            yield bytes(100_000)

    task = asyncio.create_task(unhurried.load(chunks()))

    await _cancel(task, asked)


async def test_inspect_has_a_deadline(daemon: FakeDaemon, engine: DockerEngine) -> None:
    """It is an EngineUnavailableError."""
    _silent(daemon, "GET", "/images/.*")
    with pytest.raises(OperationError) as caught:
        await engine.inspect("hello:1.0")

    assert isinstance(caught.value, EngineUnavailableError)


async def test_a_missing_image_is_none(daemon: FakeDaemon, unhurried: DockerEngine) -> None:
    """It has neither that name nor that id."""
    assert await unhurried.inspect("hello:1.0") is None


async def test_closing_ends_what_runs(
    daemon: FakeDaemon, unhurried: DockerEngine, request_: BuildRequest, threads: Callable[[], list[str]]
) -> None:
    """Its caller gets EngineUnavailableError, as the next one does."""
    asked = _silent(daemon, "POST", "/build")
    task = asyncio.create_task(unhurried.build(request_, lambda _: None))
    assert await asyncio.to_thread(asked.wait, 5)
    await unhurried.close()
    with pytest.raises(OperationError, match="closed"):
        await task
    with pytest.raises(OperationError, match="closed"):
        await unhurried.info()

    assert [] == threads()


async def test_many_calls_at_once_have_connections_of_their_own(daemon: FakeDaemon, unhurried: DockerEngine) -> None:
    """Cancelling one disturbs no other."""
    meet = threading.Barrier(6)

    def wait(exchange: Exchange) -> None:
        meet.wait(10)
        exchange.begin()
        exchange.gone.wait(0.3)
        exchange.chunk(bytes(1024))
        exchange.end()

    daemon.on("GET", "/images/.*/get", wait)
    tasks = [
        asyncio.create_task(unhurried.export(f"hello:{n}", lambda chunks: sum(map(len, chunks)))) for n in range(5)
    ]
    await asyncio.to_thread(meet.wait, 10)
    tasks[0].cancel()

    assert [1024] * 4 == await asyncio.gather(*tasks[1:])
    assert tasks[0].cancelled()


def test_asyncio_run_returns_at_once_when_interrupted(daemon: FakeDaemon, request_: BuildRequest) -> None:
    """No thread holds the process."""
    asked = _silent(daemon, "POST", "/build")

    async def main() -> None:
        engine = await open_engine(docker_host=daemon.docker_host)
        task = asyncio.create_task(engine.build(request_, lambda _: None))
        await asyncio.to_thread(asked.wait)
        assert not task.done()
        raise SystemExit

    with pytest.raises(SystemExit):
        asyncio.run(main())
