"""Text from another machine is made safe to show."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.untrusted_text import (
    after_colon,
    printable,
    printable_lines,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a\n b\tc", "a b c"), ("\x1b[31mred", "[31mred"), ("\u202ex", "x"), ("x" * 400, "x" * 297 + "...")],
)
def test_text_is_made_printable_and_short(text: str, words: str) -> None:
    """No character moves the cursor, and no text fills the screen."""
    assert words == printable(text)


def test_lines_stay_whole() -> None:
    """The end of a log is important; control characters go."""
    text = "line one\r\n\x1b[31mred\x00\tend \n" + "x" * 1000 + "\n\n"

    assert "line one\n[31mred    end\n" + "x" * 1000 == printable_lines(text)


@pytest.mark.parametrize(("text", "words"), [("", ""), (" \n", ""), ("a\nb", ": a b")])
def test_a_colon_needs_a_text_after_it(text: str, words: str) -> None:
    """An empty message does not end with a colon."""
    assert words == after_colon(text)
