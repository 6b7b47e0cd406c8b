"""Documents with a schema number."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.documents import (
    DocumentError,
    NewerDocumentError,
    parse_document,
)


@pytest.mark.parametrize(
    ("content", "expected"), [(b'{"a": 1}', {"a": 1}), (b'{"schema_version": 1}', {"schema_version": 1})]
)
def test_a_document_of_schema_1_may_have_no_number(content: bytes, expected: dict[str, int]) -> None:
    """Versions before the number wrote the same keys."""
    assert expected == parse_document(content)


def test_a_newer_document_is_refused() -> None:
    """By a type of its own, so that the log can say what to do."""
    with pytest.raises(NewerDocumentError, match="a newer version of the receiver wrote it"):
        parse_document(b'{"schema_version": 3}')


@pytest.mark.parametrize("schema", ["0", "-1", "true", '"1"', "1.0", "null"])
def test_a_schema_number_is_a_positive_integer(schema: str) -> None:
    """Anything else is not a document of the receiver."""
    with pytest.raises(DocumentError, match="not a positive integer"):
        parse_document(f'{{"schema_version": {schema}}}'.encode())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"1"])
def test_a_document_is_a_json_object(content: bytes) -> None:
    """A damaged file is not."""
    with pytest.raises(DocumentError, match="it is not"):
        parse_document(content)
