"""The lines of a `.dockerignore`, in their order."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.ignore import IgnoreFileError, IgnoreRules


def _ignored(content: str | bytes, path: str) -> bool:
    """Return the verdict on a path after those on the folders above it, as a walk through a tree does."""
    rules = IgnoreRules(content.encode() if isinstance(content, str) else content)
    verdict, parts = None, path.split("/")
    for number in range(1, len(parts) + 1):
        verdict = rules.verdict("/".join(parts[:number]), verdict)
    assert verdict is not None
    return verdict.ignored


def test_the_last_pattern_that_matches_decides() -> None:
    """The last rule that matches decides, whatever came before it."""
    assert (True, False, True) == (
        _ignored("*.md\n!README.md", "x.md"),
        _ignored("*.md\n!README.md", "README.md"),
        _ignored("!README.md\n*.md", "README.md"),
    )


def test_what_is_in_an_ignored_folder_is_ignored() -> None:
    """Everything in an ignored folder is ignored, however deep."""
    assert _ignored("a", "a/b/c/d")


def test_an_exception_includes_only_what_is_below_it() -> None:
    """An exception counts for its own path; other folders of that name stay ignored."""
    rules = "**/secrets\n!secrets/public"
    assert (False, True, True) == (
        _ignored(rules, "secrets/public/ca.pem"),
        _ignored(rules, "secrets/private/key.pem"),
        _ignored(rules, "a/secrets/public/ca.pem"),
    )


def test_case_counts() -> None:
    """Case counts, as two files may differ by nothing else."""
    assert (True, False) == (_ignored("Key", "Key"), _ignored("Key", "key"))


@pytest.mark.parametrize("line", ["/a/b", "a/b/", "./a/./b", " a/b ", "a/b\r", "a//b", "x/../a/b", "//a/b"])
def test_a_pattern_is_normalised(line: str) -> None:
    """A pattern is relative to the context, without blanks around it."""
    assert _ignored(line, "a/b")


@pytest.mark.parametrize("content", [b"#a", b"\xef\xbb\xbf#a", b"\n \n\r\n", b""])
def test_comments_and_blank_lines_are_no_patterns(content: bytes) -> None:
    """Comments, empty lines and a byte order mark are no patterns."""
    assert not _ignored(content, "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n!\n", "line 2: '!' is no pattern: there is nothing behind the !"),
        ("a\n!/\n", "line 2: '!/' is no pattern: there is nothing behind the !"),
        ("\ufeffa[\n", "line 1: 'a[' is no pattern: "),
        ("x" * 65_536, "line 1 is longer than 65535 bytes"),
    ],
)
def test_a_wrong_line_is_named(content: str, message: str) -> None:
    """The message names the line by its number."""
    with pytest.raises(IgnoreFileError) as caught:
        IgnoreRules(content.encode())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("exception", "folder", "may"),
    [
        ("!a/b/c", "a", True),
        ("!a/b/c", "a/b", True),
        ("!a/b/c", "a/c", False),
        ("!ab", "a", False),
        ("a/b", "a", False),
    ],
)
def test_an_ignored_folder_is_read_only_for_an_exception(exception: str, folder: str, may: bool) -> None:
    """A folder is read if an exception is spelled as leading into it."""
    assert may == IgnoreRules(f"*\n{exception}".encode()).has_exception_inside(folder)
