"""Patterns of paths, one by one; tests/property/test_dockerignore.py compares whole files with docker."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.path_patterns import PatternError, path_pattern


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a/b", "a/b"),
        ("a.b", "a.b"),
        ("*", "a"),
        ("a?", "ab"),
        ("[a-c]x", "bx"),
        ("[^a]x", "bx"),
        ("[!a]x", "!x"),
        ("**", "a/b/c"),
        ("a/**", "a/b/c"),
        ("**/c", "a/b/c"),
        ("**/c", "c"),
        ("a/**/c", "a/c"),
        ("a/**/c", "a/b/b/c"),
        ("\\*", "*"),
        ("é?", "éé"),
        ("a+(b)$", "a+(b)$"),
        ("*.{c}", "a.{c}"),
        ("[[:digit:]]", "7"),
        ("[[:space:]a]", " "),
        ("[\\]]", "]"),
        ("[\\d]?", "7x"),
        ("*{a}", "x{a}"),
        ("a{2}?", "aab"),
    ],
)
def test_a_pattern_that_matches(pattern: str, path: str) -> None:
    """The pattern matches the path."""
    assert path_pattern(pattern)(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a/b", "A/B"),
        ("a.b*", "axb"),
        ("*", "a/b"),
        ("a?", "a/"),
        ("[a-c]x", "dx"),
        ("[^a]x", "ax"),
        ("a/**", "a"),
        ("**/c", "a/bc"),
        ("\\*", "a"),
        ("a", "a/b"),
    ],
)
def test_a_pattern_that_does_not_match(pattern: str, path: str) -> None:
    """The pattern does not match: another case, across folders, or only a folder above the path."""
    assert not path_pattern(pattern)(path)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a[", "encloses no characters"),
        ("a[]", "encloses no characters"),
        ("[^]", "encloses no characters"),
        ("[-a]", "encloses no characters"),
        ("[a-]", "encloses no characters"),
        ("a\\", "ends with a backslash"),
        ("[c-a]", "bad character range"),
        ("src\\main.py*", "a backslash before m has no meaning; folders are divided by /"),
        ("[[:letter:]]", r"\[:letter:\] names no characters"),
        ("*{1001}", "a repetition is over 1000"),
        ("*{2}", "it is no pattern"),
    ],
)
def test_malformed_patterns(pattern: str, why: str) -> None:
    """Each error names the mistake."""
    with pytest.raises(PatternError, match=why):
        path_pattern(pattern)


def test_a_long_pattern_is_read_quickly() -> None:
    """Every pattern is read in linear time."""
    assert not path_pattern("[a-b]" * 10_000)("a")
