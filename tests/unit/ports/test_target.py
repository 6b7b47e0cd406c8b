"""A package to send: its size, and a verification that is not wanted."""

from dataclasses import replace

import pytest

from support.sending.content import CONTENT


async def test_without_a_verification_the_content_is_verified_at_once() -> None:
    """A target awaits it in any case."""
    await CONTENT.verified()


def test_the_size_is_that_of_the_identity() -> None:
    """An empty package has a size, too."""
    assert 0 == CONTENT.size_bytes


def test_an_unknown_size_is_an_error() -> None:
    """A body without its length cannot be announced."""
    content = replace(CONTENT, identity=replace(CONTENT.identity, size_bytes=None))
    with pytest.raises(ValueError, match="size of the package is not known"):
        _ = content.size_bytes
