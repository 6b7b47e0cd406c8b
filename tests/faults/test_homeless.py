"""A user without a home: no HOME, and no entry in the passwd file, as containers and services often run."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_UID = 12_345
_VERSION = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"
_SENDER, _RECEIVER = f"{_VERSION}.cli", f"{_VERSION}.receiver"
_PACKAGE_ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
_PUBLISH = ("publish", "BUILD_STARTED", "--package-id", _PACKAGE_ID)
_TRANSFER = ("transfer", _PACKAGE_ID, "--to", "http://127.0.0.1:1")
_NEED_A_FOLDER = [
    ("packages",),
    ("packages", "check"),
    ("packages", "prune", "--keep", "1"),
    ("packages", "remove", _PACKAGE_ID),
    ("events",),
    ("events", "flush"),
    ("metrics",),
    _PUBLISH,
    _TRANSFER,
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the user without a home; skips the test where only root may become another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become a user that does not exist")
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of root's
        os.chown(name, _UID, _UID)
        yield Path(name)


def start(module: str, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    """Start a command as that user, who may read whatever there is: the sources may be in a home folder."""
    reads_all = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    become = ["setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups", *reads_all]
    # Without coverage's variables: that user could not write what was measured.
    shell = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("COVERAGE")}
    return subprocess.Popen(
        [*become, sys.executable, "-m", module, *arguments],
        env=shell | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a command; return its exit code and what it wrote to stderr."""
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


@pytest.mark.usefixtures("folder")
def test_a_default_that_would_be_in_a_home_is_an_error_that_names_the_option() -> None:
    """Every command that needs the folder exits with 2 and names the option to give."""
    processes = {" ".join(command): start(_SENDER, *command) for command in _NEED_A_FOLDER}
    ended = {command: ends(process) for command, process in processes.items()}

    assert dict.fromkeys(processes, 2) == {command: code for command, (code, _) in ended.items()}
    wanted = "what to do: Give --package-dir DIR, or set PACKAGE_DIR (package_dir) or HOME.\n"
    assert dict.fromkeys(processes, True) == {command: wanted in text for command, (_, text) in ended.items()}
    assert [] == [text for _, text in ended.values() if "Traceback" in text]


def test_with_a_folder_no_home_is_needed(folder: Path) -> None:
    """By option or by variable: the package is looked for, the event is accepted, nothing is written elsewhere."""
    by_option = [start(_SENDER, "--package-dir", str(folder), *command) for command in (("packages",), _TRANSFER)]
    by_variable = start(_SENDER, *_PUBLISH, PACKAGE_DIR=str(folder))

    assert [(0, "")] == [ends(by_option[0])]
    code, text = ends(by_option[1])
    assert 2 == code
    assert f"there is no package '{_PACKAGE_ID}'" in text
    assert 0 == ends(by_variable)[0]
    assert (folder / "outbox.sqlite3").exists()


@pytest.mark.usefixtures("folder")
def test_a_build_needs_a_folder_before_it_begins(tmp_path: Path) -> None:
    """No request goes to the engine, which is not there."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    command = ["package", str(tmp_path), "--name", "hello", "--tag", "1.0"]

    code, text = ends(start(_SENDER, *command, DOCKER_HOST="unix:///no/such/socket"))

    assert 2 == code
    assert "package_dir is not set" in text


@pytest.mark.usefixtures("folder")
def test_what_needs_no_folder_works_without_a_home() -> None:
    """Help, versions and keys."""
    processes = [
        start(_SENDER, "--help"),
        start(_SENDER, "--version"),
        start(_RECEIVER, "serve", "--help"),
        start(_RECEIVER, "keygen"),
    ]

    assert [(0, "")] * 4 == [ends(process) for process in processes]


@pytest.mark.usefixtures("folder")
def test_doctor_lists_what_is_missing() -> None:
    """As every other fault that it finds."""
    process = start(_SENDER, "doctor", DOCKER_HOST="unix:///no/such/socket")
    stdout, stderr = process.communicate(timeout=60)

    assert 1 == process.returncode
    assert "--package-dir" in stdout
    assert "Traceback" not in stderr


@pytest.mark.usefixtures("folder")
def test_a_receiver_without_a_store_names_the_option() -> None:
    """It does not start."""
    code, text = ends(start(_RECEIVER, "serve", "--port", "0"))

    assert 2 == code
    assert text.startswith("deployment-receiver: store is not set, and its default ~/.local/share/deployment-receiver")
    assert text.endswith("Give --store DIR, or set DEPLOYMENT_RECEIVER_STORE or HOME.\n")


def test_a_receiver_with_a_store_serves(folder: Path) -> None:
    """No home folder is needed."""
    process = start(_RECEIVER, "serve", "--port", "0", "--store", str(folder))
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)

    assert (0, "") == ends(process)
    assert first.startswith("listening on http://127.0.0.1:")


def test_a_path_in_a_home_is_refused_by_name(folder: Path) -> None:
    """Whichever setting it is."""
    code, text = ends(start(_SENDER, "packages", PACKAGE_DIR=str(folder), DEPLOYMENT_SENDER_CA_FILE="~/ca.pem"))

    assert 2 == code
    assert "settings: ca_file: is in a home directory, but this user has none" in text.replace("Value error, ", "")
