"""Nothing that users may rely on goes away: what public_surface.json lists is still there."""

import json
from pathlib import Path

import pytest

from support.public_surface import public_surface

_LISTED = json.loads((Path(__file__).parent / "public_surface.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", sorted(_LISTED))
def test_what_was_public_is_still_there(kind: str) -> None:
    """New names may come; a name that goes breaks programs of users, and needs a new major version."""
    missing = sorted(set(_LISTED[kind]) - set(public_surface()[kind]))

    assert [] == missing


def test_every_kind_is_listed() -> None:
    """An empty list would hold nothing."""
    assert sorted(public_surface()) == sorted(_LISTED)
    assert all(_LISTED.values())
