"""The JSON documents that the receiver keeps: each has a schema number, so that a newer one is not misread."""

import json
from typing import Any, Final

__all__ = ["SCHEMA_KEY", "SCHEMA_VERSION", "DocumentError", "NewerDocumentError", "parse_document"]

SCHEMA_KEY: Final = "schema_version"
# Raised when a reader of the number before would misread a document. Documents without a number are of schema 1, too:
# the receiver wrote them before it wrote the number.
SCHEMA_VERSION: Final = 1


class DocumentError(ValueError):
    """The content is not a document of the receiver."""


class NewerDocumentError(DocumentError):
    """The document was written by a newer version of the receiver."""


def parse_document(content: bytes) -> dict[str, Any]:
    """Return the keys and values of a document.

    Args:
        content: A JSON object in UTF-8.

    Raises:
        NewerDocumentError: Its schema number is higher than `SCHEMA_VERSION`.
        DocumentError: It is not a JSON object, or its schema number is not a positive integer.
    """
    try:
        document = json.loads(content)
    except ValueError as exc:
        raise DocumentError(f"it is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise DocumentError("it is not a JSON object")
    schema = document.get(SCHEMA_KEY, 1)
    if type(schema) is not int or schema < 1:
        raise DocumentError(f"its {SCHEMA_KEY} is {schema!r}, not a positive integer")
    if schema > SCHEMA_VERSION:
        raise NewerDocumentError(
            f"a newer version of the receiver wrote it (schema {schema}; this version reads up to {SCHEMA_VERSION});"
            " update this receiver to use it"
        )
    return document
