"""What the other side said, made fit for a message."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.response import printable, printable_lines
from support.receiver.scripted import Reply
from support.sending.uploads import as_answer


@pytest.mark.parametrize(
    ("text", "words"),
    [("a\n b\tc", "a b c"), ("\x1b[31mred", "[31mred"), ("\u202ex", "x"), ("x" * 400, "x" * 297 + "...")],
)
def test_another_machines_words_are_made_printable_and_short(text: str, words: str) -> None:
    """Nothing that moves a cursor or fills a screen comes through."""
    assert words == printable(text)


def test_lines_stay_lines_and_whole() -> None:
    """A log's end is worth reading; what a terminal would obey is not."""
    text = "line one\r\n\x1b[31mred\x00\tend \n" + "x" * 1000 + "\n\n"

    assert "line one\n[31mred    end\n" + "x" * 1000 == printable_lines(text)


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("nginx/1.22.1", "nginx/1.22.1"),
        ("nginx", "nginx"),
        ("Apache/2.4 (Debian)", "Apache/2.4 (Debian)"),
        ("cloudflare", "cloudflare"),
        ("uvicorn", None),
        ("nginxious", None),
        ("", None),
    ],
)
def test_a_proxy_is_known_by_the_name_that_it_gives_itself(server: str, name: str | None) -> None:
    """A receiver of another make has a name, too."""
    assert name == as_answer(Reply(headers={"Server": server})).proxy


@pytest.mark.parametrize("body", ["", "no", "[]", "{}", '{"error_message": ""}', '{"error_message": 5}', "<html>"])
def test_what_tells_no_error_is_no_receivers(body: str) -> None:
    """Something else has answered."""
    assert as_answer(Reply(500, body)).error is None
