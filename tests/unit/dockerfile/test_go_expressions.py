"""Go's regular expressions in Python."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.go_expressions import PatternError, go_expression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.path_patterns import path_pattern


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("^a|b$", "ax", True),
        ("^a|b$", "xb", True),
        ("^a|b$", "xa", False),
        ("^{2}a$", "a", True),
        ("^a{,2}$", "a{,2}", True),
        (r"^\s$", "\v", False),
        (r"^\S[\s]$", "a ", True),
        (r"^a\b.*$", "a-", True),
        (r"^\ta\z$", "\ta", True),
        ("^[[:punct:]][^[:alpha:]]$", "!1", True),
        ("^[&&]~[--.]$", "&~-", True),
        ("^a$", "a\n", False),
    ],
)
def test_an_expression_matches_as_in_go(expression: str, text: str, found: bool) -> None:
    """Expressions that Python reads differently are translated."""
    assert found is bool(go_expression(expression)(text))


@pytest.mark.parametrize(
    "expression", [r"\x41", r"\pL", r"\Qa", r"\1", "[a", "[[:no:]]", "[b-a]", "a*{2}", "a{1001}", "é\\é"]
)
def test_refused_expressions(expression: str) -> None:
    """Expressions that Go refuses, or that no path needs, are refused."""
    with pytest.raises(PatternError):
        go_expression(expression)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*a*b*c*d*", "xaxbxcxdx", True),
        ("*a*b*c*d", "abcdabcd", True),
        ("*a*b*c*d", "abdc", False),
        ("*a*b*c*d", "a/bcd", False),
        ("**/a/**/b/**/c/*/d", "a/x/b/c/y/d", True),
        ("**/a/**/b/**/c/*/d", "a/b/c/d", False),
        ("a/**/b*c*d*e/**", "a/x/y/bcde/z", True),
        ("*a*b|c*d*[e]*", "xxcde", True),
        ("*a{2}*b*c*d", "aabcd", True),
    ],
)
def test_many_wildcards_mean_the_same(pattern: str, path: str, matches: bool) -> None:
    """Expressions with many parts of any length match the same texts."""
    assert matches is bool(path_pattern(pattern)(path))


def test_many_wildcards_take_no_longer() -> None:
    """Matching stays fast where Python would try every way to divide the path."""
    assert not path_pattern("*a" * 12 + "b")("a" * 200)
    assert not path_pattern("**/a/" * 12 + "b")("a/" * 100)
