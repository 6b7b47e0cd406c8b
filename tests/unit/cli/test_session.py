"""One run of one command."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.options import CommonOptions
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.session import Session
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    DeploymentSenderError,
    ErrorCode,
    InvalidInputError,
    PackageNotFoundError,
    TransferError,
)


def failing(error: BaseException) -> Callable[[], Awaitable[bool]]:
    """Return work that raises."""

    async def work() -> bool:
        raise error

    return work


async def _work(*, success: bool) -> bool:
    return success


@pytest.mark.parametrize(("success", "code"), [(True, 0), (False, 1)])
def test_success_is_0_and_failure_1(success: bool, code: int) -> None:
    """The result of the work decides."""
    assert code == Session(CommonOptions()).run(lambda: _work(success=success))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "no"), 2),
        (DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "no"), 1),
        (InvalidInputError("no"), 2),
        (PackageNotFoundError("no"), 2),
        (TransferError("no"), 1),
    ],
)
def test_a_raised_error_has_its_exit_code(error: Exception, expected: int) -> None:
    """2 for the caller's mistake, 1 for every other error, whether the node or the command raises it."""
    assert expected == Session(CommonOptions()).run(failing(error))


def test_a_raised_error_is_printed_with_its_recovery(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr; stdout stays empty."""
    error = DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "the tag is wrong", recovery="Give another.")
    Session(CommonOptions()).run(failing(error))

    assert ("", "error: VALIDATION_ERROR: the tag is wrong\nwhat to do: Give another.\n") == capsys.readouterr()


def test_a_raised_error_is_a_document_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With the fields that every output has."""
    error = DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "wrong", recovery="Fix it.")
    Session(CommonOptions(json=True)).run(failing(error))

    assert (
        '{\n  "success": false,\n  "error_code": "VALIDATION_ERROR",\n  "error_message": "wrong",\n'
        '  "recovery": "Fix it.",\n  "correlation_id": null\n}\n'
    ) == capsys.readouterr().out


def test_an_unexpected_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the exception's text, which may contain a secret."""
    code = Session(CommonOptions()).run(failing(KeyError("s3cret")))

    assert 1 == code
    out, err = capsys.readouterr()
    assert ("", True, False) == (out, err.startswith("error: unexpected error: KeyError"), "s3cret" in err)
    assert "--verbose" in err


def test_verbose_shows_the_traceback_of_an_unexpected_error(capsys: pytest.CaptureFixture[str]) -> None:
    """It does not ask for --verbose then."""
    Session(CommonOptions(verbose=True)).run(failing(KeyError("why")))
    err = capsys.readouterr().err

    assert (True, False) == ("Traceback" in err, "--verbose" in err)


def test_a_closed_stdout_is_left_to_typer() -> None:
    """Typer exits without a message."""
    with pytest.raises(BrokenPipeError):
        Session(CommonOptions()).run(failing(BrokenPipeError()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_work(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    """It can clean up; the exit code is 130."""
    cleaned_up = []

    async def work() -> bool:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            cleaned_up.append(True)
        return True

    assert (130, [True]) == (Session(CommonOptions()).run(work), cleaned_up)
    assert ("", "error: interrupted\n") == capsys.readouterr()


def test_an_interrupt_before_the_loop_runs_has_the_same_exit_code() -> None:
    """Python raises it by itself then."""
    assert 130 == Session(CommonOptions()).run(failing(KeyboardInterrupt()))


def test_the_folder_of_the_options_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As values of a container do."""
    monkeypatch.setenv("PACKAGE_DIR", "/outside")

    assert Path("/given") == Session(CommonOptions(package_dir=Path("/given"))).settings().package_dir


def test_the_receiver_is_the_one_given_or_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order."""
    monkeypatch.setenv("DEFAULT_RECEIVER_URL", "http://default:8001")
    session = Session(CommonOptions())

    assert ("http://given:8001", "http://default:8001") == (
        session.receiver_url("http://given:8001"),
        session.receiver_url(None),
    )


def test_no_receiver_at_all_is_a_mistake() -> None:
    """It is reported before anything is built."""
    with pytest.raises(InvalidInputError, match="no receiver is given"):
        Session(CommonOptions()).receiver_url(None)


def test_verbose_shows_our_own_log_lines() -> None:
    """Other libraries' only from warnings on."""
    ours = logging.getLogger("omninode_bridge")
    before = ours.level
    try:
        Session(CommonOptions(verbose=True)).run(lambda: _work(success=True))
        assert logging.INFO == ours.level
    finally:
        ours.setLevel(before)


async def _reads_settings_twice() -> bool:
    for _ in range(2):
        Session(CommonOptions()).settings()
    return True


@pytest.mark.parametrize("verbose", [False, True])
def test_a_misspelt_variable_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verbose: bool
) -> None:
    """However often a command reads its settings."""
    monkeypatch.setenv("DEPLOYMENT_SENDER_SIGNING_KEYS", "id:secret")

    assert 0 == Session(CommonOptions(verbose=verbose)).run(_reads_settings_twice)

    warning = "the environment variable DEPLOYMENT_SENDER_SIGNING_KEYS is not a setting; did you mean"
    assert ("", f"warning: {warning} DEPLOYMENT_SENDER_SIGNING_KEY?\n") == capsys.readouterr()
