"""Starting containers, against an engine that keeps them in memory."""

import json
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.engine_call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.engine_containers import (
    OURS,
    run_container,
    settle_container,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.engine_endpoint import Endpoint
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from support.fake_daemon import Exchange, FakeDaemon

UP = {"Running": True, "ExitCode": 0}
ENDED = {"Running": False, "ExitCode": 0}
CRASHED = {"Running": False, "ExitCode": 3}
RESTARTING = {"Running": True, "Restarting": True, "ExitCode": 3}


class Engine:
    """Containers by name, and what happened to them.

    Attributes:
        state: That of every container that is started.
        restarts: How often the engine has started it again.
        log: What every container has written; None for an engine that keeps no log.
    """

    def __init__(self, daemon: FakeDaemon) -> None:
        self.docker_host = daemon.docker_host
        self.containers: dict[str, dict[str, Any]] = {}
        self.diary: list[str] = []
        self.state: dict[str, Any] = UP
        self.restarts = 0
        self.log: bytes | None = b"what it said\n"
        self.created: dict[str, Any] = {}
        self._number = 0
        daemon.on("POST", "/containers/create", self._create)
        daemon.on("GET", "/containers/[^/]+/json", self._inspect)
        daemon.on("GET", "/containers/[^/]+/logs", self._logs)
        daemon.on("POST", "/containers/[^/]+/(start|stop|rename)", self._change)
        daemon.on("DELETE", "/containers/[^/]+", self._remove)

    def add(self, name: str, *, ours: bool = True) -> str:
        """Put a container there; answer its id."""
        self._number += 1
        self.containers[name] = {"Id": f"id{self._number}", "Config": {"Labels": {OURS: "true"} if ours else None}}
        return str(self.containers[name]["Id"])

    def names(self) -> dict[str, str]:
        """Answer which name has which id."""
        return {name: container["Id"] for name, container in self.containers.items()}

    def _named(self, exchange: Exchange) -> str | None:
        key = exchange.path.split("/")[2]
        return next((name for name, found in self.containers.items() if key in (name, found["Id"])), None)

    def _create(self, exchange: Exchange) -> None:
        self.created = json.loads(exchange.body())
        container_id = self.add(exchange.query["name"])
        self.containers[exchange.query["name"]]["Config"] = {"Labels": self.created["Labels"]}
        exchange.send(_json(201, {"Id": container_id}))

    def _inspect(self, exchange: Exchange) -> None:
        name = self._named(exchange)
        if name is None:
            exchange.answer({"message": "No such container"}, 404)
        else:
            told = {"Name": f"/{name}", "State": self.state, "RestartCount": self.restarts}
            exchange.answer(_with_tty(self.containers[name]) | told)

    def _logs(self, exchange: Exchange) -> None:
        if self.log is None:
            exchange.answer({"message": "configured logging driver does not support reading"}, 501)
        else:
            exchange.answer(struct.pack(">BxxxL", 1, len(self.log)) + self.log)

    def _change(self, exchange: Exchange) -> None:
        name = self._named(exchange)
        assert name is not None
        verb = exchange.path.rsplit("/", 1)[1]
        self.diary.append(f"{verb} {name}")
        if verb == "rename":
            self.containers[exchange.query["name"]] = self.containers.pop(name)
        exchange.answer(b"", 204)

    def _remove(self, exchange: Exchange) -> None:
        name = self._named(exchange)
        assert name is not None
        self.diary.append(f"remove {name}")
        del self.containers[name]
        exchange.answer(b"", 204)


def _with_tty(container: dict[str, Any]) -> dict[str, Any]:
    return container | {"Config": container["Config"] | {"Tty": False}}


def _json(status: int, answer: Any) -> bytes:
    content = json.dumps(answer).encode()
    return b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine without containers."""
    with FakeDaemon(tmp_path / "engine.sock") as daemon:
        yield Engine(daemon)


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's ~/.docker/config.json does not matter."""
    monkeypatch.setenv("HOME", str(tmp_path))


def _endpoint(engine: Engine) -> Endpoint:
    return Endpoint(engine.docker_host, tls_verify=False, cert_path=None, connect_timeout_seconds=5)


def _run(engine: Engine) -> str:
    with closing(Call()) as call:
        return run_container(_endpoint(engine), call, "hello:1.0", "hello", {"a": "b"})


def _settle(engine: Engine) -> None:
    with closing(Call()) as call:
        settle_container(_endpoint(engine), call, "hello")


def _error(engine: Engine) -> str:
    with pytest.raises(DeploymentSenderError) as caught:
        _run(engine)
    assert ErrorCode.BUILD_FAILED == caught.value.code
    return caught.value.message


def test_a_container_gets_its_name_once_it_stays_up(engine: Engine) -> None:
    """Its id comes out."""
    container_id = _run(engine)

    assert ({"hello": container_id}, ["start hello.next", "rename hello.next"]) == (engine.names(), engine.diary)


def test_the_options_are_safe(engine: Engine) -> None:
    """And the same for every container."""
    _run(engine)

    host = engine.created["HostConfig"]
    assert ({"a": "b", OURS: "true"}, "hello:1.0") == (engine.created["Labels"], engine.created["Image"])
    assert (["ALL"], ["no-new-privileges"]) == (host["CapDrop"], host["SecurityOpt"])
    assert (512, 536_870_912) == (host["PidsLimit"], host["Memory"])
    assert {"Name": "on-failure", "MaximumRetryCount": 3} == host["RestartPolicy"]
    assert not {"Privileged", "Binds", "Mounts", "Devices", "PortBindings", "NetworkMode"} & {
        name for name, value in host.items() if value and value != "default"
    }


def test_an_old_one_of_ours_goes_when_the_new_one_is_up(engine: Engine) -> None:
    """In good order, and not before."""
    engine.add("hello")
    container_id = _run(engine)

    assert {"hello": container_id} == engine.names()
    assert [
        "start hello.next",
        "rename hello",
        "rename hello.next",
        "stop hello.old",
        "remove hello.old",
    ] == engine.diary


def test_one_that_is_not_ours_stays(engine: Engine) -> None:
    """Somebody else has started it."""
    other = engine.add("hello", ours=False)

    assert "a container of that name is there, and it is not ours" in _error(engine)
    assert {"hello": other} == engine.names()


def test_the_beginning_of_an_id_is_no_name(engine: Engine) -> None:
    """The engine takes it for one."""
    engine.containers["other"] = {"Id": "hello", "Config": {"Labels": None}}
    container_id = _run(engine)

    assert {"other": "hello", "hello": container_id} == engine.names()


@pytest.mark.parametrize(("state", "restarts"), [(CRASHED, 0), (RESTARTING, 0), (UP, 1)])
def test_one_that_ends_at_once_is_an_error_with_its_log(engine: Engine, state: dict[str, Any], restarts: int) -> None:
    """Also while the engine starts it again and again; the old one goes on."""
    old = engine.add("hello")
    engine.state, engine.restarts, engine.log = state, restarts, b"\x1b[31mno config\x1b[0m\r\nbye\n"
    message = _error(engine)
    _settle(engine)

    assert f"it ended at once, with exit code {state['ExitCode']}\nno config\nbye" in message
    assert {"hello": old} == engine.names()


def test_one_that_keeps_no_log_is_an_error_without(engine: Engine) -> None:
    """Some log drivers cannot be read."""
    engine.state, engine.log = CRASHED, None

    assert _error(engine).endswith("with exit code 3")


def test_one_that_is_done_is_none(engine: Engine) -> None:
    """A short job ends well."""
    engine.state = ENDED

    assert _run(engine) == engine.names()["hello"]


def test_what_an_earlier_start_has_left_goes_first(engine: Engine) -> None:
    """This process may have been killed at any point."""
    engine.add("hello.next")
    engine.add("hello")
    engine.add("hello.old")
    container_id = _run(engine)

    assert {"hello": container_id} == engine.names()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"hello.next"}, set()),
        ({"hello", "hello.next"}, {"hello"}),
        ({"hello.old", "hello.next"}, {"hello"}),
        ({"hello", "hello.old"}, {"hello"}),
        ({"hello"}, {"hello"}),
        (set(), set()),
    ],
)
def test_settling_leaves_one_of_the_name_or_none(engine: Engine, before: set[str], after: set[str]) -> None:
    """Wherever a start was broken off; the old one gets its name back if the new one has not got it."""
    for name in sorted(before):
        engine.add(name)
    _settle(engine)

    assert after == engine.names().keys()


def test_settling_leaves_alone_what_is_not_ours(engine: Engine) -> None:
    """Even by such names."""
    for name in ("hello.next", "hello.old"):
        engine.add(name, ours=False)
    _settle(engine)

    assert {"hello.next", "hello.old"} == engine.names().keys()
