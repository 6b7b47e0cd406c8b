"""Values of build arguments in texts."""

import json
from urllib.parse import quote, quote_plus

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.redact import (
    Redactor,
    strip_control_characters,
)

VALUE = 'p@ss "wörd"\\&/x'


@pytest.mark.parametrize(
    "spelled",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote_plus(json.dumps(VALUE)[1:-1]),
    ],
)
def test_a_value_is_found_however_json_or_a_url_spells_it(spelled: str) -> None:
    """Engines quote it in errors, requests in URLs."""
    assert "before***after" == Redactor([VALUE])(f"before{spelled}after")


def test_the_longest_value_goes_first() -> None:
    """Else the rest of the longer one would be left."""
    assert "*** ***" == Redactor(["secret", "secret-two"])("secret-two secret")


def test_each_line_of_a_value_is_found_by_itself() -> None:
    """A log shows a key line by line."""
    redact = Redactor(["-----BEGIN KEY-----\nMIIabc\r\n}\n"])

    assert ["***", "***", "}"] == [redact(line) for line in ("-----BEGIN KEY-----", "MIIabc", "}")]


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("1", "Step 1/12 : RUN x1 --debug=1", "Step ***/12 : RUN x1 --debug=***"),
        ("dev", "develop dev", "develop ***"),
        ("/", "a/b / c", "a/b *** c"),
        ("3.11", "python3.11-slim", "python***-slim"),
    ],
)
def test_a_value_under_four_characters_goes_where_it_stands_alone(value: str, text: str, expected: str) -> None:
    """The log stays legible; longer values go everywhere."""
    assert expected == Redactor([value])(text)


@pytest.mark.parametrize("values", [[], [""], [" \n"]])
def test_blank_values_change_nothing(values: list[str]) -> None:
    """There is nothing to hide."""
    assert "a  b\n" == Redactor(values)("a  b\n")


def test_blanks_around_a_value_do_not_hide_it() -> None:
    """A shell drops them."""
    assert "x=***." == Redactor([" secret\n"])("x=secret.")


def test_a_value_that_no_url_can_hold_is_found() -> None:
    """A lone surrogate stands for a byte that is no UTF-8."""
    assert "***" == Redactor(["secret\udcff"])("secret\udcff")


def test_a_value_with_control_characters_is_found_without_them() -> None:
    """Lines lose theirs before they are redacted."""
    assert "***" == Redactor(["sec\x07ret"])(strip_control_characters("sec\x07ret"))


def test_control_sequences_go_and_tabs_stay() -> None:
    """A log must not move the reader's cursor."""
    assert "red\tand plain" == strip_control_characters("\x1b[91mred\x1b[0m\tand\x08 plain\x07\x1b[2K\x9b")
