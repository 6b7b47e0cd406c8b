"""A progress bar for a terminal."""

import io

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.progress_bar import progress_bar
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress


class Terminal(io.StringIO):
    """Reports that it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(*steps: Progress) -> str:
    """Return everything that was drawn after these steps."""
    terminal = Terminal()
    with progress_bar(terminal, "packaging a:1") as update:
        for step in steps:
            update(step)
    return terminal.getvalue()


def test_it_has_a_title_before_the_first_stage() -> None:
    """The one that was given."""
    assert "packaging a:1" in drawn()


def test_a_build_shows_the_last_line_of_its_log() -> None:
    """Without control characters."""
    shown = drawn(Progress("build", line="one"), Progress("build", line="two\x1b[2J"))

    assert "building" in shown
    assert "two[2J" in shown


def test_an_export_shows_bytes() -> None:
    """Without their total, which the engine does not report."""
    shown = drawn(Progress("export", done_bytes=8_000_000), Progress("export", done_bytes=16_000_000))

    assert "exporting" in shown
    assert "16.0 MB" in shown


def test_an_upload_shows_bytes() -> None:
    """Until the last one is sent."""
    shown = drawn(Progress("upload", done_bytes=1_000_000, total_bytes=4_000_000))

    assert "uploading" in shown
    assert "1.0 MB" in shown


def test_after_the_last_byte_it_waits_for_the_receiver() -> None:
    """The receiver verifies and loads."""
    assert "waiting for the receiver" in drawn(Progress("upload", done_bytes=4, total_bytes=4))


def test_a_retry_starts_again() -> None:
    """With its own bytes."""
    shown = drawn(
        Progress("upload", done_bytes=3_000_000, total_bytes=4_000_000),
        Progress("upload", done_bytes=1_000_000, total_bytes=4_000_000),
    )

    assert "1.0 MB" in shown


def test_the_reason_of_a_wait_is_shown() -> None:
    """A failed attempt, and the receiver's status."""
    for step, words in (
        (Progress("retry", line="not there; trying again in 4 s"), ("waiting", "trying again in 4 s")),
        (Progress("deploy", line="it is loading"), ("deploying", "it is loading")),
    ):
        shown = drawn(step)

        assert all(word in shown for word in words)
