"""JSON documents, read so that they have one meaning only."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.go_json import Documents, field
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import ArchiveLimits


def _kept(documents: Documents, name: str, content: bytes) -> Documents:
    documents.keep(name, content)
    return documents


def _parsed(content: bytes, limits: ArchiveLimits | None = None) -> Any:
    return _kept(Documents(limits or ArchiveLimits()), "x.json", content).parsed("x.json")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a": 1, "a": 2}', b'{"a": 1} x', b"\xff", '{"a": 1}'.encode("utf-16"), b"[" * 40_000],
    ids=["empty", "open", "key twice", "more behind", "no UTF-8", "UTF-16", "deep"],
)
def test_refused(data: bytes) -> None:
    """What is no sound JSON in UTF-8 is refused."""
    with pytest.raises(ArchiveError, match=r"x\.json"):
        _parsed(data)


@pytest.mark.parametrize("data", [b"[" + b"[]," * 50_000 + b"[]]", b"[" + b"1," * 50_000 + b"1]"])
def test_too_many_values(data: bytes) -> None:
    """A document that would block all other threads is not parsed."""
    with pytest.raises(ArchiveError, match="more than 50000 values"):
        _parsed(data)


def test_too_many_values_together() -> None:
    """The limit is one for all documents, so that many small ones are not worse than a large one."""
    documents = Documents(ArchiveLimits(values=100))
    for number in range(60):
        _kept(documents, f"{number}", b"[{}]")
    for number in range(50):
        documents.parsed(f"{number}")

    with pytest.raises(ArchiveError, match="more than 100 values"):
        documents.parsed("50")


def test_too_many_bytes_together() -> None:
    """All documents together have a limit."""
    documents = _kept(Documents(ArchiveLimits(documents_bytes=100)), "a", b"[" + b" " * 98 + b"]")

    with pytest.raises(ArchiveError, match="larger than 100 bytes"):
        _kept(documents, "b", b"{}")


def test_blanks_before_a_document() -> None:
    """A document may begin with blanks."""
    assert {"a": 1} == _parsed(b' \t\r\n{"a": 1}')


@pytest.mark.parametrize("content", [b"text", b"\0" * 512])
def test_files_that_are_no_documents(content: bytes) -> None:
    """A file that does not begin as a document is not kept."""
    assert _kept(Documents(ArchiveLimits()), "x", content).get("x") is None


@pytest.mark.parametrize(("size", "expected"), [(0, False), (1, True), (100, True), (101, False)])
def test_sizes_of_documents(size: int, expected: bool) -> None:
    """A document is not empty, and not larger than the limit."""
    assert expected == Documents(ArchiveLimits(document_bytes=100)).accepts(size)


def test_field() -> None:
    """A field of the right kind is returned."""
    assert "c" == field(_parsed(b'{"Config": "c"}'), "Config", str, "x")


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
