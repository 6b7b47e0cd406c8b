"""The records of a build's stream."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.build_log import BuildLog, record_error
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.redact import Redactor


def _read(*records: Any, values: tuple[str, ...] = ()) -> tuple[list[str], BuildLog]:
    lines: list[str] = []
    log = BuildLog(Redactor(values), lines.append)
    for record in records:
        log.add(record)
    log.flush()
    return lines, log


def test_pieces_become_lines() -> None:
    """A step's name and its line break come apart; blank lines are left out."""
    lines, _ = _read(
        {"stream": "Step 1/2 : FROM a"}, {"stream": "\n"}, {"stream": "\n\none\r\ntwo\rthr"}, {"stream": "ee"}
    )

    assert ["Step 1/2 : FROM a", "one", "two", "three"] == lines


def test_a_value_in_two_pieces_is_found() -> None:
    """Lines are joined before they are redacted."""
    lines, _ = _read({"stream": "token sec"}, {"stream": "ret\n"}, values=("secret",))

    assert ["token ***"] == lines


def test_stderr_in_between_does_not_break_a_line() -> None:
    """The engine sends it in red."""
    lines, _ = _read(
        {"stream": "sec"}, {"stream": "\x1b[91merr\n\x1b[0m"}, {"stream": "ret\n"}, {"stream": "\x1b[91mor\x1b[0m"},
        values=("secret",),
    )  # fmt: skip

    assert ["err", "***", "or"] == lines


def test_a_pull_reports_its_steps_without_its_progress_bars() -> None:
    """A bar has thousands."""
    lines, _ = _read(
        {"status": "Pulling from library/busybox", "id": "latest"},
        {"status": "Downloading", "progressDetail": {"current": 1, "total": 2}, "id": "abc"},
        {"status": "Download complete", "progressDetail": {}, "id": "abc"},
        {"status": "Digest: sha256:0"},
    )

    assert ["latest: Pulling from library/busybox", "abc: Download complete", "Digest: sha256:0"] == lines


def test_a_line_without_end_is_not_kept() -> None:
    """It is not cut either: half a value would be left."""
    lines, _ = _read({"stream": "x" * 50_000}, {"stream": "x" * 50_000}, {"stream": "y\nnext\n"})

    assert ["(a line of more than 65536 characters is left out)", "next"] == lines


def test_a_long_line_is_cut_after_4096_characters() -> None:
    """It is cut after it was redacted."""
    lines, _ = _read({"stream": "x" * 5000 + "\n"})

    assert [4096] == [len(line) for line in lines]


def test_the_last_image_is_the_result_once_the_engine_reports_it() -> None:
    """Every stage reports one."""
    records = ({"aux": {"ID": "sha256:aa11"}}, {"aux": {"ID": "sha256:bb22"}}, {"stream": "Successfully built bb22\n"})
    _, log = _read(*records)

    assert ("sha256:bb22", True) == (log.image_id, log.finished)


@pytest.mark.parametrize(
    "records",
    [
        ({"aux": {"ID": "sha256:aa11"}},),
        ({"stream": "Successfully built wheel\n"}, {"aux": {"ID": "sha256:aa11"}}),
        ({"aux": {"Digest": "x"}}, {"aux": "odd"}, {"aux": {"ID": 5}}),
        ("odd", None, 5, {"stream": 5}, {"status": None}),
    ],
)
def test_anything_else_is_no_end(records: tuple[Any, ...]) -> None:
    """Neither a stage's image nor the output of a step is."""
    assert not _read(*records)[1].finished


def test_a_build_without_an_id_is_finished_by_its_last_line() -> None:
    """The id is requested then."""
    _, log = _read({"stream": "Successfully built 0123\n"})

    assert (True, None) == (log.finished, log.image_id)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"errorDetail": {"message": "new"}, "error": "old"}, "new"),
        ({"error": "old\x1b[91m\nand more"}, "old and more"),
        ({"errorDetail": {"code": 1}}, None),
        ({"errorDetail": "odd"}, None),
        ("odd", None),
        ({"stream": "fine"}, None),
    ],
)
def test_an_error_is_read_in_either_form(record: Any, expected: str | None) -> None:
    """Old engines know only `error`."""
    assert expected == record_error(record)


def test_the_log_keeps_the_error() -> None:
    """What comes after it does not undo it."""
    _, log = _read({"error": "it broke"}, {"stream": "bye\n"})

    assert "it broke" == log.error
