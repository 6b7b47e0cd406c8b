"""The requests about containers, and how their responses are read."""

import json
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.connection import connected_client
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.container_calls import ContainerCalls
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import Endpoint
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    ContainerEnd,
    ContainerFacts,
    ContainerLimits,
    ContainerSpec,
)
from support.engine.fake_daemon import Exchange, FakeDaemon

ID = "1" * 64
LIMITS = ContainerLimits(memory_bytes=64_000_000, cpus=0.5, pids=50, log_file_bytes=1_000_000, log_files=2)
SPEC = ContainerSpec("sha256:2", "hello", {"a": "b"}, LIMITS, {"/data": "volume1"})
GONE = {"message": "No such container"}


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """An engine whose responses the test chooses; the developer's ~/.docker/config.json does not matter."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with FakeDaemon(tmp_path / "engine.sock") as started:
        yield started


@pytest.fixture
def calls(daemon: FakeDaemon) -> Iterator[ContainerCalls]:
    """Calls to it."""
    endpoint = Endpoint(daemon.docker_host, tls_verify=False, cert_path=None, connect_timeout_seconds=60)
    with closing(Call()) as call, connected_client(endpoint, call) as client:
        yield ContainerCalls(client)


def created(daemon: FakeDaemon, calls: ContainerCalls, spec: ContainerSpec) -> dict[str, Any]:
    """Create a container; return what the engine was asked for."""
    asked: dict[str, Any] = {}

    def create(exchange: Exchange) -> None:
        asked.update(json.loads(exchange.body()), name=exchange.query["name"])
        exchange.respond({"Id": ID}, 201)

    daemon.on("POST", "/containers/create", create)
    assert ID == calls.create(spec)
    return asked


def test_a_container_is_created_with_its_limits_and_no_more_than_it_needs(
    daemon: FakeDaemon, calls: ContainerCalls
) -> None:
    """By the image's id; the engine does not restart it yet."""
    asked = created(daemon, calls, SPEC)
    host = asked["HostConfig"]

    assert ("hello", "sha256:2", {"a": "b"}) == (asked["name"], asked["Image"], asked["Labels"])
    assert (["ALL"], ["no-new-privileges"]) == (host["CapDrop"], host["SecurityOpt"])
    assert (64_000_000, 64_000_000, 500_000_000, 50) == (
        host["Memory"],
        host["MemorySwap"],
        host["NanoCpus"],
        host["PidsLimit"],
    )
    assert {"Type": "json-file", "Config": {"max-size": "1000000", "max-file": "2"}} == host["LogConfig"]
    assert "no" == host["RestartPolicy"]["Name"]
    assert [("/data", "volume1", "volume")] == [(it["Target"], it["Source"], it["Type"]) for it in host["Mounts"]]
    assert not {"Privileged", "Binds", "Devices", "PortBindings", "NetworkMode"} & {
        name for name, value in host.items() if value and value != "default"
    }


def test_without_a_limit_on_cores_none_is_sent(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """The engine would take 0 for one."""
    limits = ContainerLimits(memory_bytes=64_000_000, cpus=None, pids=50, log_file_bytes=1, log_files=1)

    assert "NanoCpus" not in created(daemon, calls, ContainerSpec("sha256:2", "hello", {}, limits))["HostConfig"]


def test_a_container_is_kept_up_until_it_is_stopped(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """By the engine's restart policy."""
    asked: dict[str, Any] = {}

    def update(exchange: Exchange) -> None:
        asked.update(json.loads(exchange.body()))
        exchange.respond({"Warnings": None})

    daemon.on("POST", f"/containers/{ID}/update", update)
    calls.keep_up(ID)

    assert "unless-stopped" == asked["RestartPolicy"]["Name"]


@pytest.mark.parametrize(("seconds", "asked"), [(10.0, "10"), (0.3, "1"), (2.6, "3")])
def test_stopping_waits_for_whole_seconds(
    daemon: FakeDaemon, calls: ContainerCalls, seconds: float, asked: str
) -> None:
    """At least for one: none would be a kill."""
    sent: list[str] = []

    def stop(exchange: Exchange) -> None:
        sent.append(exchange.query["t"])
        exchange.respond(b"", 204)

    daemon.on("POST", f"/containers/{ID}/stop", stop)
    calls.stop(ID, seconds)

    assert [asked] == sent


@pytest.mark.parametrize(("volumes", "asked"), [(True, "True"), (False, "False")])
def test_volumes_go_with_the_container_where_that_is_wanted(
    daemon: FakeDaemon, calls: ContainerCalls, volumes: bool, asked: str
) -> None:
    """And only there."""
    sent: list[str] = []

    def remove(exchange: Exchange) -> None:
        sent.append(exchange.query["v"])
        exchange.respond(b"", 204)

    daemon.on("DELETE", f"/containers/{ID}", remove)
    calls.remove(ID, volumes=volumes)

    assert [asked] == sent


def test_a_missing_container_can_be_stopped_and_removed(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """Another program may have removed it."""
    daemon.on("POST", "/containers/.*", lambda it: it.respond(GONE, 404))
    daemon.on("DELETE", "/containers/.*", lambda it: it.respond(GONE, 404))
    calls.stop(ID, 1)
    calls.remove(ID, volumes=True)


@pytest.mark.parametrize(("key", "is_found"), [("hello", True), (ID, True), ("11111", False), ("other", False)])
def test_a_container_is_found_by_its_whole_name_or_id(
    daemon: FakeDaemon, calls: ContainerCalls, key: str, is_found: bool
) -> None:
    """The engine also finds the first characters of an id."""
    container = {"Id": ID, "Name": "/hello", "Config": {}, "State": {"Status": "running"}}
    daemon.on("GET", "/containers/other/json", lambda it: it.respond(GONE, 404))
    daemon.on("GET", "/containers/(hello|1+)/json", lambda it: it.respond(container))

    assert is_found == (calls.inspect(key) is not None)


def ended(daemon: FakeDaemon, calls: ContainerCalls, *events: dict[str, Any], **facts: Any) -> ContainerEnd:
    """Ask for the end of a container."""

    def tell(exchange: Exchange) -> None:
        exchange.begin()
        for event in events:
            exchange.chunk(json.dumps(event).encode() + b"\n")
        exchange.end()

    daemon.on("GET", "/events", tell)
    return calls.last_end(ContainerFacts(ID, "hello", "running", **facts))


def test_the_end_of_a_container_that_runs_again_is_in_the_events(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """The engine's inspect has forgotten it."""
    died = {"Action": "die", "Actor": {"Attributes": {"exitCode": "137"}}}
    oom = {"Action": "oom", "Actor": {"Attributes": {}}}

    assert ContainerEnd(137, oom_killed=True) == ended(daemon, calls, oom, died, finished_at=1000.5)
    assert ContainerEnd(137, oom_killed=False) == ended(daemon, calls, died, finished_at=1000.5)


def test_an_end_that_the_engine_has_forgotten_has_no_exit_code(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """Nothing is invented."""
    assert ContainerEnd(None, oom_killed=False) == ended(daemon, calls, finished_at=1000.5)
    assert ContainerEnd(None, oom_killed=False) == ended(daemon, calls)
    assert ContainerEnd(3, oom_killed=True) == ended(daemon, calls, exit_code=3, oom_killed=True, finished_at=1000.5)


def test_the_end_of_a_log_is_read_line_by_line(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """Control characters are removed."""
    log = b"\x1b[31mno config\x1b[0m\r\nbye\n"
    described = {"Id": ID, "Name": "/hello", "Config": {"Tty": False}, "State": {"Status": "running"}}
    daemon.on("GET", f"/containers/{ID}/json", lambda it: it.respond(described))
    daemon.on("GET", f"/containers/{ID}/logs", lambda it: it.respond(struct.pack(">BxxxL", 1, len(log)) + log))

    assert "\nno config\nbye" == calls.log_tail(ID)


def test_a_container_that_keeps_no_log_has_none(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """Some log drivers cannot be read."""
    daemon.on("GET", "/containers/.*", lambda it: it.respond({"message": "cannot be read"}, 501))

    assert "" == calls.log_tail(ID)


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ({"Volumes": {"/data/": {}, "/a//b": {}}}, ("/a/b", "/data")),
        ({"Volumes": None}, ()),
        (None, ()),
    ],
)
def test_an_image_declares_volumes_at_paths(
    daemon: FakeDaemon, calls: ContainerCalls, config: dict[str, Any] | None, paths: tuple[str, ...]
) -> None:
    """As the engine will mount them."""
    daemon.on("GET", "/images/sha256:2/json", lambda it: it.respond({"Id": "sha256:2", "Config": config}))

    assert paths == calls.volume_paths("sha256:2")


def test_a_volume_is_there_or_not(daemon: FakeDaemon, calls: ContainerCalls) -> None:
    """By its name."""
    daemon.on("GET", "/volumes/there", lambda it: it.respond({"Name": "there"}))
    daemon.on("GET", "/volumes/gone", lambda it: it.respond({"message": "no such volume"}, 404))

    assert (True, False) == (calls.has_volume("there"), calls.has_volume("gone"))
