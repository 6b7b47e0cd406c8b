"""Which output goes where."""

import io
import json
import re

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.console import Console, facts, table
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import OutputModel
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress


class Terminal(io.StringIO):
    """Reports that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Streams:
    """A console and what it has printed."""

    def __init__(self, *, terminal: bool = False, **options: bool) -> None:
        self.out = io.StringIO()
        self.err = Terminal() if terminal else io.StringIO()
        self.console = Console(stdout=self.out, stderr=self.err, **options)

    @property
    def printed(self) -> tuple[str, str]:
        return self.out.getvalue(), self.err.getvalue()


def test_facts_line_up() -> None:
    """Values start in one column, also across groups with short names."""
    assert ["image       a:1", "deployment  d"] == facts([("image", "a:1"), ("deployment", "d")])


def test_a_long_name_moves_the_column_of_values() -> None:
    """To the right."""
    assert ["a long long name  1", "b                 2"] == facts([("a long long name", "1"), ("b", "2")])


def test_a_table_has_columns_as_wide_as_their_widest_cell() -> None:
    """No line ends with blanks."""
    assert ["A    B", "1    2", "333  4"] == table(("A", "B"), [("1", "2"), ("333", "4")])


def test_people_get_lines_on_stdout() -> None:
    """They get no document."""
    streams = Streams()
    streams.console.result({"a": 1}, ["one", "two"])

    assert ("one\ntwo\n", "") == streams.printed


def test_programs_get_one_document_on_stdout() -> None:
    """They get no lines."""
    streams = Streams(as_json=True)
    streams.console.result({"a": "é"}, ["one", "two"])

    assert {"a": "é"} == json.loads(streams.out.getvalue())


def test_a_note_goes_to_stderr() -> None:
    """It is not a result."""
    streams = Streams()
    streams.console.note("by the way")

    assert ("", "by the way\n") == streams.printed


def test_quiet_prints_no_notes() -> None:
    """And no steps."""
    streams = Streams(quiet=True)
    streams.console.note("by the way")
    with streams.console.step("packaging") as step:
        step.done = "packaged"

    assert ("", "") == streams.printed


def test_a_failure_names_code_message_and_recovery() -> None:
    """On stderr, also if the command is quiet."""
    streams = Streams(quiet=True)
    streams.console.failure(
        OutputModel(success=False, error_code=ErrorCode.BUILD_FAILED, error_message="no", recovery="Fix it.")
    )

    assert ("", "error: BUILD_FAILED: no\nwhat to do: Fix it.\n") == streams.printed


def test_an_error_may_have_neither_code_nor_recovery() -> None:
    """It is one line then."""
    streams = Streams()
    streams.console.error("interrupted")

    assert ("", "error: interrupted\n") == streams.printed


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    """A build log or a response may contain them."""
    streams = Streams()
    streams.console.print_lines("a\x1b[31mb\tc\nd")

    assert ("a?[31mb\tc\nd\n", "") == streams.printed


def test_a_step_without_a_terminal_has_two_lines() -> None:
    """One at its beginning and one at its end, with the time; none for each progress."""
    streams = Streams()
    with streams.console.step("packaging a:1") as step:
        step.on_progress(Progress(stage="build", line="Step 1/1 : FROM scratch"))
        step.on_progress(Progress(stage="export", done_bytes=10))
        step.done = "packaged a:1"

    assert re.fullmatch(r"packaging a:1 \.\.\.\npackaged a:1 in \d+ ms\n", streams.err.getvalue())


def test_a_step_that_fails_has_no_last_line() -> None:
    """The error follows."""
    streams = Streams()
    with streams.console.step("packaging a:1"):
        pass

    assert ("", "packaging a:1 ...\n") == streams.printed


def test_verbose_shows_the_build_log() -> None:
    """Each line stands under its step."""
    streams = Streams(verbose=True)
    with streams.console.step("packaging a:1") as step:
        step.on_progress(Progress(stage="build", line="Step 1/1 : FROM scratch"))

    assert ("", "packaging a:1 ...\n  Step 1/1 : FROM scratch\n") == streams.printed


def test_a_console_without_step_lines_still_prints_notes() -> None:
    """The original console is unchanged."""
    streams = Streams()
    silent = streams.console.without_step_lines()
    for console in (silent, streams.console):
        with console.step("packaging") as step:
            step.done = None
    silent.note("by the way")

    assert ("", "packaging ...\nby the way\n") == streams.printed


@pytest.mark.parametrize("options", [{"quiet": True}, {"verbose": True}])
def test_quiet_and_verbose_draw_no_progress_bar(options: dict[str, bool]) -> None:
    """It would stand between log lines."""
    streams = Streams(terminal=True, **options)
    with streams.console.step("packaging"):
        pass

    assert "\x1b" not in streams.err.getvalue()


def test_a_terminal_gets_a_progress_bar() -> None:
    """It is removed, and the last line says what was done."""
    streams = Streams(terminal=True)
    with streams.console.step("packaging a:1") as step:
        step.on_progress(Progress(stage="build", line="Step 1/1 : FROM scratch"))
        step.done = "packaged a:1"

    assert re.search(r"\x1b\[2Kpackaged a:1 in \d+ ms\n\Z", streams.err.getvalue())
