"""JSON that nobody can read in two ways."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.pipeline.documents import field, parsed
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.pipeline.errors import ArchiveError


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a": 1, "a": 2}', b'{"a": 1} x', b"\xff", '{"a": 1}'.encode("utf-16"), b"[" * 40_000],
    ids=["empty", "open", "key twice", "more behind", "no UTF-8", "UTF-16", "deep"],
)
def test_refused(data: bytes) -> None:
    """What is no sound JSON in UTF-8 is refused."""
    with pytest.raises(ArchiveError, match=r"x\.json"):
        parsed(data, "x.json")


@pytest.mark.parametrize("data", [b"[" + b"[]," * 50_000 + b"[]]", b"[" + b"1," * 50_000 + b"1]"])
def test_too_many_values(data: bytes) -> None:
    """A document that would hold up all other threads is not parsed."""
    with pytest.raises(ArchiveError, match="more than 50000 values"):
        parsed(data, "x.json")


def test_field() -> None:
    """A field of the right kind is answered."""
    assert field(parsed(b'{"Config": "c"}', "x"), "Config", str, "x") == "c"


@pytest.mark.parametrize("document", [{}, {"Config": None}])
def test_absent_field(document: dict[str, None]) -> None:
    """A field that is absent or null is None."""
    assert field(document, "Config", str, "x") is None


@pytest.mark.parametrize(
    "document",
    [[], "text", {"Config": 1}, {"config": "c"}, {"Config": "c", "CONFIG": "d"}, {"Tag\u017f": 1}],
    ids=["list", "text", "number", "other case", "both cases", "long s"],
)
def test_ambiguous_field(document: object) -> None:
    """A field of another kind, or in another case, is refused."""
    with pytest.raises(ArchiveError):
        field(document, "Tags" if document == {"Tag\u017f": 1} else "Config", str, "x")
