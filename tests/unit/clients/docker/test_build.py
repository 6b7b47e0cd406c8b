"""Builds, against an engine whose responses the test chooses."""

import io
import json
import tarfile
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.build import build_image
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import Endpoint
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    BuildError,
    EngineUnavailableError,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest
from support.engine.fake_daemon import Exchange, FakeDaemon

IMAGE_ID = "sha256:0123456789abcdef"
VALUE = "s3cr3t /value"
DONE: tuple[Any, ...] = ({"aux": {"ID": IMAGE_ID}}, {"stream": "Successfully built 0123456789ab\n"})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine."""
    with FakeDaemon(tmp_path / "engine.sock") as daemon:
        yield daemon


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with a Dockerfile."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def _at(daemon: FakeDaemon, config: Path = Path("/nonexistent")) -> Endpoint:
    return Endpoint(
        daemon.docker_host, tls_verify=False, cert_path=None, connect_timeout_seconds=60, config_path=config
    )


def _build(
    daemon: FakeDaemon, context: Path, config: Path = Path("/nonexistent"), **fields: Any
) -> tuple[str, list[str]]:
    lines: list[str] = []
    request = BuildRequest(context, "Dockerfile", "hello:1.0", **fields)
    with closing(Call()) as call:
        return build_image(_at(daemon, config), call, request, lines.append), lines


def _error(daemon: FakeDaemon, context: Path, **fields: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        _build(daemon, context, **fields)
    return caught.value


def _says(daemon: FakeDaemon, *records: Any) -> None:
    daemon.on("POST", "/build", lambda exchange: exchange.stream(*records))


def test_the_request_holds_every_option(daemon: FakeDaemon, context: Path) -> None:
    """It also removes intermediate containers."""
    _says(daemon, *DONE)
    _build(
        daemon, context, build_args={"A": "b"}, target="stage", platform="linux/arm64", labels={"l": "v"}, no_cache=True
    )

    query = daemon.exchanges[-1].query
    expected = {"t": "hello:1.0", "dockerfile": "Dockerfile", "target": "stage", "platform": "linux/arm64"}
    assert expected.items() <= query.items()
    assert ("True", "True", "True") == (query["rm"], query["forcerm"], query["nocache"])
    assert ('{"A": "b"}', '{"l": "v"}') == (query["buildargs"], query["labels"])


def test_the_context_is_the_body(daemon: FakeDaemon, context: Path) -> None:
    """As a plain archive, with its length."""
    _says(daemon, *DONE)
    _build(daemon, context)

    body = daemon.exchanges[-1].body_read
    assert str(len(body)) == daemon.exchanges[-1].headers["content-length"]
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert ["Dockerfile"] == archive.getnames()


def test_the_image_and_the_lines_come_out(daemon: FakeDaemon, context: Path) -> None:
    """The id is the last one in the log."""
    _says(daemon, {"stream": "Step 1/1 : FROM scratch"}, {"stream": "\n"}, {"aux": {"ID": "sha256:stage"}}, *DONE)

    assert (IMAGE_ID, ["Step 1/1 : FROM scratch", "Successfully built 0123456789ab"]) == _build(daemon, context)


def test_an_id_that_the_log_lacks_is_requested(daemon: FakeDaemon, context: Path) -> None:
    """By the reference."""
    _says(daemon, DONE[1])
    daemon.on("GET", "/images/hello:1.0/json", lambda exchange: exchange.respond({"Id": IMAGE_ID}))

    assert IMAGE_ID == _build(daemon, context)[0]


def test_a_failing_step_is_reported_with_the_engines_message(daemon: FakeDaemon, context: Path) -> None:
    """It is a BuildError."""
    _says(daemon, {"stream": "oh\n"}, {"errorDetail": {"code": 1, "message": "returned a non-zero code: 1"}})
    error = _error(daemon, context)

    assert (BuildError, "The image hello:1.0 could not be built: returned a non-zero code: 1") == (
        type(error),
        error.message,
    )


@pytest.mark.parametrize(("losses", "builds"), [(1, 2), (4, 5), (9, 5)])
def test_a_build_is_repeated_when_a_cached_image_was_removed(
    daemon: FakeDaemon, context: Path, losses: int, builds: int
) -> None:
    """The context is the same, the log reports it, and it happens a few times at most."""
    lost = {"errorDetail": {"message": f'unable to find image "sha256:{"0" * 64}"'}}
    streams = iter([[lost]] * losses + [list(DONE)])
    daemon.on("POST", "/build", lambda exchange: exchange.stream({"stream": "Step\n"}, *next(streams)))
    lines: list[str] = []
    with closing(Call()) as call, suppress(OperationError):
        build_image(_at(daemon), call, BuildRequest(context, "Dockerfile", "hello:1.0"), lines.append)

    assert [daemon.exchanges[0].body_read] * builds == [exchange.body_read for exchange in daemon.exchanges]
    assert (builds, builds - 1) == (lines.count("Step"), len([line for line in lines if "building again" in line]))
    assert (losses < builds) == ("Successfully built 0123456789ab" in lines)


def test_a_build_is_not_repeated_for_ever(daemon: FakeDaemon, context: Path) -> None:
    """The error has the engine's message."""
    _says(daemon, {"errorDetail": {"message": f'unable to find image "sha256:{"0" * 64}"'}})
    error = _error(daemon, context)

    assert (BuildError, True) == (type(error), "unable to find image" in error.message)


def test_an_error_after_the_image_is_still_one(daemon: FakeDaemon, context: Path) -> None:
    """Tagging comes last."""
    _says(daemon, *DONE, {"error": "no space left on device"})

    assert "no space left on device" in _error(daemon, context).message


def test_a_log_without_an_image_is_a_build_error(daemon: FakeDaemon, context: Path) -> None:
    """The engine stopped for a reason that it does not report."""
    _says(daemon, {"stream": "Step 1/9 : FROM scratch\n"}, {"aux": {"ID": "sha256:stage"}})
    error = _error(daemon, context)

    assert (BuildError, True) == (type(error), "ends without an image" in error.message)


@pytest.mark.parametrize("last", [b'5\r\n{"str', b"5\r\n", b"", b"zz\r\n"])
def test_a_log_that_is_cut_means_an_unavailable_engine(daemon: FakeDaemon, context: Path, last: bytes) -> None:
    """Wherever the cut is."""

    def cut(exchange: Exchange) -> None:
        exchange.begin()
        for record in DONE:
            exchange.chunk(record)
        exchange.send(last)
        exchange.cut()

    daemon.on("POST", "/build", cut)

    assert isinstance(_error(daemon, context), EngineUnavailableError)


def test_half_a_record_means_an_unavailable_engine(daemon: FakeDaemon, context: Path) -> None:
    """The stream ends well, its last line does not."""
    _says(daemon, b'{"stream": "Succ')

    assert isinstance(_error(daemon, context), EngineUnavailableError)


def test_an_engine_that_goes_away_while_the_context_is_sent(daemon: FakeDaemon, context: Path) -> None:
    """It is an EngineUnavailableError."""
    (context / "large").write_bytes(bytes(5_000_000))
    daemon.on("POST", "/build", lambda exchange: exchange.cut())
    error = _error(daemon, context)

    assert (EngineUnavailableError, True) == (type(error), "went away" in error.message)


def test_an_error_response_while_the_context_is_sent_is_read(daemon: FakeDaemon, context: Path) -> None:
    """The engine responds before it has read everything."""
    (context / "large").write_bytes(bytes(5_000_000))

    def refuse(exchange: Exchange) -> None:
        content = b'{"message": "unknown platform"}'
        exchange.send(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        exchange.cut()

    daemon.on("POST", "/build", refuse)

    assert "The image hello:1.0 could not be built: unknown platform" == _error(daemon, context).message


@pytest.mark.parametrize("status", [400, 500])
def test_no_build_argument_is_in_an_error_or_behind_it(daemon: FakeDaemon, context: Path, status: int) -> None:
    """The vendor's exception would have the URL, and the engine may quote."""
    daemon.on("POST", "/build", lambda exchange: exchange.respond({"message": f"what is {quote_plus(VALUE)}?"}, status))
    error = _error(daemon, context, build_args={"TOKEN": VALUE})

    assert "The image hello:1.0 could not be built: what is ***?" == error.message
    assert (None, None) == (error.__cause__, error.__context__)


def test_no_build_argument_is_in_a_line(daemon: FakeDaemon, context: Path) -> None:
    """However it is cut up."""
    _says(daemon, {"stream": "token s3cr"}, {"stream": "3t /value\n"}, *DONE)

    assert "token ***" == _build(daemon, context, build_args={"TOKEN": VALUE})[1][0]


def test_no_password_of_a_proxy_is_in_a_line(daemon: FakeDaemon, context: Path, tmp_path: Path) -> None:
    """The caller's build arguments replace the proxies of the docker command."""
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://user:word@proxy"}}}')
    _says(daemon, {"stream": "via http://user:word@proxy\n"}, *DONE)
    _, lines = _build(daemon, context, config=tmp_path, build_args={"HTTP_PROXY": "mine"})

    assert "via ***" == lines[0]
    assert '{"http_proxy": "http://user:word@proxy", "HTTP_PROXY": "mine"}' == daemon.exchanges[-1].query["buildargs"]


def test_a_credential_helper_that_is_missing_is_a_warning(daemon: FakeDaemon, context: Path, tmp_path: Path) -> None:
    """~/.docker/config.json may name one that this machine lacks; most builds need no credentials."""
    (tmp_path / "config.json").write_text('{"credsStore": "not-there"}')
    (context / "Dockerfile").write_text("FROM busybox\n")
    _says(daemon, *DONE)
    image_id, lines = _build(daemon, context, config=tmp_path)

    assert (IMAGE_ID, True) == (image_id, "docker-credential-not-there" in lines[0])
    assert "x-registry-config" not in daemon.exchanges[-1].headers


def test_credentials_go_to_the_engine_with_the_build(daemon: FakeDaemon, context: Path, tmp_path: Path) -> None:
    """Those of the registries that the Dockerfile names, and no others."""
    entries = {name: {"auth": b64encode(f"{name}:pw".encode()).decode()} for name in ("one.example", "two.example")}
    (tmp_path / "config.json").write_text(json.dumps({"auths": entries}))
    (context / "Dockerfile").write_text("ARG FROM=two.example\nFROM $FROM/app:1\n")
    _says(daemon, *DONE)
    _build(daemon, context, config=tmp_path, build_args={"FROM": "one.example"})

    sent = json.loads(urlsafe_b64decode(daemon.exchanges[-1].headers["x-registry-config"]))
    assert {"one.example": {"serveraddress": "one.example", "username": "one.example", "password": "pw"}} == sent


def test_a_name_that_docker_py_refuses_is_a_build_error(daemon: FakeDaemon, context: Path) -> None:
    """The engine itself is not the reason."""
    with pytest.raises(OperationError) as caught, closing(Call()) as call:
        build_image(_at(daemon), call, BuildRequest(context, "Dockerfile", "Hello World:1.0"), print)

    assert isinstance(caught.value, BuildError)


def _open_in(folder: Path) -> list[str]:
    """Name the open files of a folder, also those that have no name there any more."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # listing them was one itself
            found.append(str(link.readlink()))
    return [path for path in found if path.startswith(str(folder))]


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_packed_context_is_removed(
    daemon: FakeDaemon, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_well: bool
) -> None:
    """It never has a name, and no open file is left."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    _says(daemon, *(DONE if ends_well else ({"error": "no"},)))
    if ends_well:
        _build(daemon, context)
    else:
        _error(daemon, context)

    assert ([], []) == (list(folder.iterdir()), _open_in(folder))


def test_features_of_buildkit_are_refused_before_anything_is_sent(daemon: FakeDaemon, context: Path) -> None:
    """The message has the lines and the alternatives; the engine would build something else and report success."""
    (context / "Dockerfile").write_text("FROM scratch\nRUN <<EOF\ntouch /made\nEOF\nCOPY --exclude=*.key . /\n")
    error = _error(daemon, context)

    assert (BuildError, []) == (type(error), [one for one in daemon.exchanges if one.path == "/build"])
    assert "line 2: RUN <<EOF (a here-document); line 5: COPY --exclude" in error.message
    assert "COPY --exclude: name the files in .dockerignore" in str(error.recovery)


def test_of_many_features_of_buildkit_some_are_listed(daemon: FakeDaemon, context: Path) -> None:
    """The message has the number of the others."""
    (context / "Dockerfile").write_text("FROM scratch\n" + "COPY --link a /\n" * 8)

    assert _error(daemon, context).message.endswith("line 6: COPY --link; and 3 more")


def test_a_stage_behind_the_target_may_need_buildkit(daemon: FakeDaemon, context: Path) -> None:
    """It is not built."""
    _says(daemon, *DONE)
    (context / "Dockerfile").write_text("FROM scratch AS base\nFROM base\nCOPY --link a /\n")

    assert IMAGE_ID == _build(daemon, context, target="base")[0]


@pytest.mark.parametrize(
    ("platform", "given", "sent"),
    [
        (None, {}, {"TARGETARCH": "amd64", "TARGETPLATFORM": "linux/amd64", "BUILDARCH": "amd64", "TARGETVARIANT": ""}),
        (
            "linux/arm/v7",
            {},
            {"TARGETARCH": "arm", "TARGETPLATFORM": "linux/arm/v7", "BUILDARCH": "amd64", "TARGETVARIANT": "v7"},
        ),
        (
            "arm64",
            {"TARGETARCH": "mine"},
            {"TARGETARCH": "mine", "TARGETPLATFORM": "linux/arm64", "BUILDARCH": "amd64", "TARGETVARIANT": ""},
        ),
    ],
)
def test_arguments_about_the_platform_are_set(
    daemon: FakeDaemon, context: Path, platform: str | None, given: dict[str, str], sent: dict[str, str]
) -> None:
    """They are those that the Dockerfile declares, as with BuildKit; the caller's values replace them."""
    _says(daemon, *DONE)
    daemon.on("GET", "/version", lambda exchange: exchange.respond({"Os": "linux", "Arch": "amd64"}))
    names = " ".join(sent)
    (context / "Dockerfile").write_text(f"FROM scratch\nARG {names} OTHER TARGETOS=linux\n")
    _build(daemon, context, platform=platform, build_args=given)

    assert sent == json.loads(daemon.exchanges[-1].query["buildargs"])
