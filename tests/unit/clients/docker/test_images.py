"""Images in and out, against an engine whose responses the test chooses."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import Endpoint
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.images import (
    engine_info,
    export_image,
    image_references,
    inspect_image,
    load_image,
    tag_image,
    untag_image,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    EngineRefusedError,
    EngineUnavailableError,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import EngineInfo, ImageFacts
from support.engine.fake_daemon import Exchange, FakeDaemon

END = bytes(1024)
ERROR = b'{"errorDetail":{"message":"layer is gone"},"error":"layer is gone"}\r\n'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine."""
    with FakeDaemon(tmp_path / "engine.sock") as daemon:
        yield daemon


@pytest.fixture
def call() -> Iterator[Call]:
    """A call that is closed afterwards."""
    with closing(Call()) as call:
        yield call


def _at(daemon: FakeDaemon) -> Endpoint:
    return Endpoint(daemon.docker_host, tls_verify=False, cert_path=None, connect_timeout_seconds=60)


def _export(
    daemon: FakeDaemon, response: Callable[[Exchange], None], consume: Callable[[Iterator[bytes]], Any] = b"".join
) -> Any:
    daemon.on("GET", "/images/hello:1.0/get", response)
    with closing(Call()) as call:
        return export_image(_at(daemon), call, "hello:1.0", consume, 0.3)


def _failing_export(daemon: FakeDaemon, response: Callable[[Exchange], None]) -> OperationError:
    with pytest.raises(OperationError) as caught:
        _export(daemon, response)
    return caught.value


def test_an_export_is_handed_on_in_large_chunks(daemon: FakeDaemon) -> None:
    """However small the engine's own are."""
    pieces = [b"x" * 32_768] * 100
    sizes = _export(
        daemon, lambda exchange: exchange.stream(*pieces, END), lambda chunks: [len(chunk) for chunk in chunks]
    )

    assert [1_048_576] * 3 + [100 * 32_768 + 1024 - 3 * 1_048_576] == sizes


def test_an_export_is_requested_without_chunks(daemon: FakeDaemon) -> None:
    """By HTTP/1.0, though with the Host that a proxy may want."""

    def plain(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-tar\r\n\r\n" + b"x" * 3_000_000 + END)
        exchange.cut()

    assert b"x" * 3_000_000 + END == _export(daemon, plain)
    assert ("HTTP/1.0", "localhost") == (daemon.exchanges[-1].version, daemon.exchanges[-1].headers["host"])


def test_a_consumer_may_stop_early(daemon: FakeDaemon) -> None:
    """The engine stops, too."""

    def endless(exchange: Exchange) -> None:
        exchange.begin()
        try:
            while True:
                exchange.chunk(bytes(100_000))
        except OSError:
            exchange.closed = True
            exchange.gone.set()

    assert 1_048_576 == _export(daemon, endless, lambda chunks: len(next(chunks)))
    assert daemon.exchanges[-1].gone.wait(5)


def test_an_error_of_the_consumer_is_raised(daemon: FakeDaemon) -> None:
    """A full disk here does not mean that the engine is unavailable."""

    def full(chunks: Iterator[bytes]) -> None:
        next(chunks)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        _export(daemon, lambda exchange: exchange.stream(END), full)


def test_an_image_that_is_not_there(daemon: FakeDaemon) -> None:
    """It is an EngineRefusedError; Docker 20.10 sends no reason."""
    error = _failing_export(daemon, lambda exchange: exchange.respond(b"", 404))

    assert (EngineRefusedError, "The image hello:1.0 could not be exported: no such image") == (
        type(error),
        error.message,
    )


def test_another_refusal_is_reported_with_the_engines_message(daemon: FakeDaemon) -> None:
    """It is an EngineRefusedError."""
    error = _failing_export(daemon, lambda exchange: exchange.respond({"message": "disk is ill"}, 500))

    assert (EngineRefusedError, "The image hello:1.0 could not be exported: disk is ill") == (
        type(error),
        error.message,
    )


@pytest.mark.parametrize("last", [b"400\r\n" + bytes(500), b"400\r\n", b"4", b""])
def test_a_cut_export_is_always_noticed(daemon: FakeDaemon, last: bytes) -> None:
    """In a chunk, before one, in its length, after one: also after what looks like the archive's end."""

    def cut(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(END)
        exchange.send(last)
        exchange.cut()

    error = _failing_export(daemon, cut)

    assert isinstance(error, EngineUnavailableError)


def test_an_export_shorter_than_its_length_is_noticed(daemon: FakeDaemon) -> None:
    """From an engine behind a proxy."""

    def cut(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + END)
        exchange.cut()

    assert isinstance(_failing_export(daemon, cut), EngineUnavailableError)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
def test_an_export_without_a_length_is_judged_by_its_end(daemon: FakeDaemon, head: bytes) -> None:
    """Such a stream cannot tell that it was cut; an archive can."""

    def cut(exchange: Exchange) -> None:
        exchange.send(head + b"x" * 5000)
        exchange.cut()

    assert "ends too early" in _failing_export(daemon, cut).message


def test_an_engine_that_fails_in_the_middle_appends_its_error(daemon: FakeDaemon) -> None:
    """It ends its response as usual then."""
    error = _failing_export(daemon, lambda exchange: exchange.stream(b"x" * 100_000, ERROR))

    assert (EngineRefusedError, "The image hello:1.0 could not be exported: layer is gone") == (
        type(error),
        error.message,
    )


@pytest.mark.parametrize("chunks", [(b"short",), (), (b'x{"errorDetail"',), (b"x", *[b"yz"] * 9)])
def test_an_archive_without_its_end_is_refused(daemon: FakeDaemon, chunks: tuple[bytes, ...]) -> None:
    """The response ended as usual, but too early."""
    error = _failing_export(daemon, lambda exchange: exchange.stream(*chunks))

    assert (EngineUnavailableError, True) == (type(error), "ends too early" in error.message)


@pytest.mark.parametrize("sent", [(), (b"x" * 1000,)])
def test_a_silent_export_has_a_deadline(daemon: FakeDaemon, sent: tuple[bytes, ...]) -> None:
    """Before the first byte, and between two."""

    def silent(exchange: Exchange) -> None:
        exchange.begin()
        for chunk in sent:
            exchange.chunk(chunk)
        exchange.wait_until_gone()

    error = _failing_export(daemon, silent)

    assert (EngineUnavailableError, True) == (type(error), "silent for too long" in error.message)
    assert daemon.exchanges[-1].gone.wait(5)


def test_silence_counts_anew_with_every_byte(daemon: FakeDaemon) -> None:
    """A slow engine is not silent."""

    def slow(exchange: Exchange) -> None:
        exchange.begin()
        for _ in range(8):
            exchange.gone.wait(0.06)
            exchange.chunk(bytes(512))
        exchange.end()

    assert bytes(8 * 512) == _export(daemon, slow)


def test_a_load_streams_its_chunks(daemon: FakeDaemon, call: Call) -> None:
    """In one request without a length."""
    daemon.on("POST", "/images/load", lambda exchange: exchange.stream({"stream": "Loaded image: hello:1.0\n"}))
    load_image(_at(daemon), call, iter([b"ab", b"", b"cd"]))

    exchange = daemon.exchanges[-1]
    assert (b"abcd", "chunked") == (exchange.body_read, exchange.headers["transfer-encoding"])


@pytest.mark.parametrize(
    "response",
    [
        lambda exchange: exchange.stream({"stream": "x"}, {"errorDetail": {"message": "invalid diffID"}}),
        lambda exchange: exchange.respond({"message": "invalid diffID"}, 500),
        lambda exchange: exchange.stream({"message": "invalid diffID"}, status=400),
    ],
)
def test_a_refused_load_is_reported_with_the_engines_message(
    daemon: FakeDaemon, call: Call, response: Callable[[Exchange], None]
) -> None:
    """It is an EngineRefusedError."""
    daemon.on("POST", "/images/load", response)
    with pytest.raises(OperationError) as caught:
        load_image(_at(daemon), call, iter([b"ab"]))

    assert (EngineRefusedError, "The image could not be loaded: invalid diffID") == (
        type(caught.value),
        caught.value.message,
    )


def test_an_error_response_is_read_before_all_is_sent(daemon: FakeDaemon, call: Call) -> None:
    """A full disk shows early."""

    def refuse(exchange: Exchange) -> None:
        content = b'{"errorDetail":{"message":"no space left on device"}}\r\n'
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        exchange.chunk(content)
        exchange.end()
        exchange.cut()

    daemon.on("POST", "/images/load", refuse)
    with pytest.raises(OperationError, match="no space left on device"):
        load_image(_at(daemon), call, iter([bytes(100_000)] * 100))


@pytest.mark.parametrize("failure", [KeyError("mine"), BrokenPipeError("mine"), TimeoutError("mine")])
def test_an_error_of_the_chunks_is_raised(daemon: FakeDaemon, call: Call, failure: Exception) -> None:
    """The connection could raise some of these types, too; the engine does not get the end of the archive."""

    def chunks() -> Iterator[bytes]:
        yield b"ab"
        raise failure

    daemon.on("POST", "/images/load", lambda exchange: exchange.stream())
    with pytest.raises(type(failure), match="mine"):
        load_image(_at(daemon), call, chunks())


def test_a_cut_load_means_an_unavailable_engine(daemon: FakeDaemon, call: Call) -> None:
    """It is an EngineUnavailableError."""

    def cut(exchange: Exchange) -> None:
        exchange.begin()
        exchange.cut()

    daemon.on("POST", "/images/load", cut)
    with pytest.raises(OperationError) as caught:
        load_image(_at(daemon), call, iter([b"ab"]))

    assert isinstance(caught.value, EngineUnavailableError)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"Id": "sha256:1", "RootFS": {"Layers": ["sha256:a", "sha256:b"]}}, ("sha256:a", "sha256:b")),
        ({"Id": "sha256:1", "RootFS": {"Type": "layers"}}, ()),
        ({"Id": "sha256:1", "RootFS": {"Layers": None}}, ()),
    ],
)
def test_inspect_returns_id_and_layers(
    daemon: FakeDaemon, call: Call, response: Any, expected: tuple[str, ...]
) -> None:
    """An image of nothing has no layers."""
    daemon.on("GET", "/images/a/b:1.0/json", lambda exchange: exchange.respond(response))

    assert ImageFacts("sha256:1", expected) == inspect_image(_at(daemon), call, "a/b:1.0")


@pytest.mark.parametrize(
    ("reported", "platform"),
    [
        ({"Os": "linux", "Architecture": "arm64", "Variant": "v8"}, "linux/arm64"),
        ({"Os": "linux", "Architecture": "arm", "Variant": "v7"}, "linux/arm/v7"),
        ({"Os": "linux", "Architecture": "amd64"}, "linux/amd64"),
        ({"Os": "", "Architecture": None}, None),
        ({}, None),
    ],
)
def test_inspect_returns_the_platform(daemon: FakeDaemon, call: Call, reported: Any, platform: str | None) -> None:
    """In its one form, where the image has one."""
    daemon.on("GET", "/images/x/json", lambda exchange: exchange.respond({"Id": "sha256:1", "RootFS": {}, **reported}))
    facts = inspect_image(_at(daemon), call, "x")

    assert facts is not None
    assert platform == facts.platform


def test_a_missing_image_is_none(daemon: FakeDaemon, call: Call) -> None:
    """It has neither that name nor that id."""
    daemon.on("GET", "/images/.*", lambda exchange: exchange.respond({"message": "No such image: x"}, 404))

    assert inspect_image(_at(daemon), call, "x") is None


def test_an_image_is_named(daemon: FakeDaemon, call: Call) -> None:
    """Repository and tag, also where the repository has a port."""
    daemon.on("POST", "/images/sha256:1/tag", lambda exchange: exchange.respond(status=201))
    tag_image(_at(daemon), call, "sha256:1", "edge:5000/a/b:1.0")

    assert ("edge:5000/a/b", "1.0") == (daemon.exchanges[-1].query["repo"], daemon.exchanges[-1].query["tag"])


def test_a_name_that_is_refused(daemon: FakeDaemon, call: Call) -> None:
    """The error has the engine's message."""
    daemon.on("POST", "/images/.*", lambda exchange: exchange.respond({"message": "no such image"}, 404))
    with pytest.raises(OperationError) as caught:
        tag_image(_at(daemon), call, "sha256:1", "hello:1.0")

    assert (EngineRefusedError, True) == (type(caught.value), "no such image" in caught.value.message)


@pytest.mark.parametrize("status", [200, 404])
def test_a_name_is_removed_without_pruning(daemon: FakeDaemon, call: Call, status: int) -> None:
    """A missing one is not an error."""
    daemon.on("DELETE", "/images/hello:1.0", lambda exchange: exchange.respond({"message": "No such image"}, status))
    untag_image(_at(daemon), call, "hello:1.0")

    assert "True" == daemon.exchanges[-1].query["noprune"]


def test_the_names_of_a_repository(daemon: FakeDaemon, call: Call) -> None:
    """Names of other repositories are left out, also by an engine that ignores the filter."""
    images = [{"RepoTags": ["edge:5000/a:1", "other:1"]}, {"RepoTags": None}, {"RepoTags": ["edge:5000/a:2"]}]
    daemon.on("GET", "/images/json", lambda exchange: exchange.respond(images))

    assert ("edge:5000/a:1", "edge:5000/a:2") == image_references(_at(daemon), call, "edge:5000/a")
    assert {"reference": ["edge:5000/a"]} == json.loads(daemon.exchanges[-1].query["filters"])


def test_info_returns_version_driver_and_folder(daemon: FakeDaemon, call: Call) -> None:
    """As `docker info` does."""
    reported = {"ServerVersion": "28.5.2", "Driver": "overlayfs", "DockerRootDir": "/var/lib/docker", "Name": "x"}
    daemon.on("GET", "/info", lambda exchange: exchange.respond(reported))

    assert EngineInfo("28.5.2", "overlayfs", "/var/lib/docker") == engine_info(_at(daemon), call)


@pytest.mark.parametrize("response", [b"{}", b"[]", b"nothing", json.dumps({"message": "no"}).encode()])
@pytest.mark.parametrize("ask", [engine_info, lambda at, call: inspect_image(at, call, "x")])
def test_an_odd_response_means_an_unavailable_engine(
    daemon: FakeDaemon, call: Call, response: bytes, ask: Callable[[Endpoint, Call], Any]
) -> None:
    """It is not the response of an engine."""
    daemon.on("GET", "/.*", lambda exchange: exchange.respond(response, Api_Version="1.41"))
    with pytest.raises(OperationError) as caught:
        ask(_at(daemon), call)

    assert isinstance(caught.value, EngineUnavailableError)


@pytest.mark.parametrize("response", [b"{}", b"[{}]", b"[1]", b"nothing"])
def test_an_odd_list_of_images_means_an_unavailable_engine(daemon: FakeDaemon, call: Call, response: bytes) -> None:
    """An empty one is a list."""
    daemon.on("GET", "/images/json", lambda exchange: exchange.respond(response))
    with pytest.raises(OperationError) as caught:
        image_references(_at(daemon), call, "x")

    assert isinstance(caught.value, EngineUnavailableError)
