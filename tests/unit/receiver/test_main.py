"""The command `deployment-receiver`."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.__main__ import main
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import split_signing_key
from support.eventually import eventually_sync

_SERVER = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.server"


def test_keygen_prints_a_key_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    """And each key is new."""
    keys = set()
    for _ in range(2):
        assert 0 == main(["keygen"])
        keys.add(capsys.readouterr().out.strip())
    assert 2 == len(keys)
    for key in keys:
        split_signing_key(key)


def test_it_serves_until_a_signal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then it exits with 0."""
    printed: list[str] = []

    def stop_when_it_listens() -> None:
        def listens() -> bool:
            printed.append(capsys.readouterr().out)
            return "listening" in "".join(printed)

        eventually_sync(listens)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_when_it_listens)
    thread.start()
    assert 0 == main(["serve", "--port", "0", "--store", str(tmp_path), "--run", "--max-package-size-gb", "0.5"])
    thread.join()
    assert "".join(printed).startswith("listening on http://127.0.0.1:")
    assert "stopping\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "without a signing key the receiver listens on loopback only"),
        (["--port", "65536"], "settings: port: Input should be less than or equal to 65535"),
        (["--tls-cert", "/no/such/file"], "the file that tls_cert names cannot be read: No such file or directory"),
        (["--tls-key", "/some/file"], "settings: tls_key: needs tls_cert as well"),
        (["--tls-client-ca", "/some/file"], "settings: tls_client_ca: needs tls_cert as well"),
        (["--host-name", "edge", "--host-name", "http://edge"], "settings: host_names.1: a host name is NAME or"),
        (["--max-package-size-gb", "0"], "settings: max_package_size_gb: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_reported_in_a_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2."""
    assert 2 == main(["serve", "--store", str(tmp_path), *arguments])
    error = capsys.readouterr().err
    assert error.startswith(f"deployment-receiver: {message}")
    assert 1 == error.count("\n")


@pytest.mark.parametrize(
    "option", ["--host", "--port", "--tls-cert", "--tls-key", "--tls-client-ca", "--store", "--max-package-size-gb"]
)
def test_an_option_with_one_value_is_given_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2: argparse would silently use the last one."""
    with pytest.raises(SystemExit) as caught:
        main(["serve", option, "1", option, "2"])

    assert 2 == caught.value.code
    assert f"error: {option} is given twice; give it once" in capsys.readouterr().err


def test_a_wrong_key_is_reported_without_the_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2."""
    monkeypatch.setenv("DEPLOYMENT_RECEIVER_SIGNING_KEYS", "k1:tooshort")
    assert 2 == main(["serve"])
    error = capsys.readouterr().err
    assert "signing_keys" in error
    assert "tooshort" not in error


def test_a_port_in_use_is_reported_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert 1 == main(["serve", "--store", str(tmp_path), "--port", port])
    expected = f"deployment-receiver: cannot listen on 127.0.0.1:{port}: Address already in use. "
    assert capsys.readouterr().err.startswith(expected)


def test_a_missing_extra_is_reported_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The sentence says what to install."""
    monkeypatch.delitem(sys.modules, _SERVER, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 1 == main(["serve", "--store", str(tmp_path)])
    expected = "deployment-receiver: uvicorn is not installed; pip install omninode-deployment-sender[receiver]\n"
    assert expected == capsys.readouterr().err


def test_another_missing_module_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is not reported as a missing extra."""
    monkeypatch.delitem(sys.modules, _SERVER, raising=False)
    monkeypatch.setitem(sys.modules, "ipaddress", None)
    with pytest.raises(ModuleNotFoundError):
        main(["serve", "--store", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["serve", "--help"], 0), (["--version"], 0), ([], 2)]
)
def test_help_and_version_need_no_extra(arguments: list[str], code: int) -> None:
    """They work without the packages of the receiver."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code


def test_a_misspelt_variable_prevents_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been meant as the key."""
    monkeypatch.setenv("DEPLOYMENT_RECEIVER_SIGNING_KEY", "k1:" + "s" * 32)

    assert 2 == main(["serve", "--store", str(tmp_path)])

    error = capsys.readouterr().err
    assert "DEPLOYMENT_RECEIVER_SIGNING_KEY is not a setting; did you mean DEPLOYMENT_RECEIVER_SIGNING_KEYS?" in error
    assert "s" * 32 not in error
