"""The version of the protocol, and that the docs describe it."""

from pathlib import Path

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.info import InfoBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.version import (
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    SUPPORTED_VERSIONS,
)

DOCS = Path(__file__).parents[3] / "docs" / "receiver-protocol.md"


def test_this_version_is_a_supported_one() -> None:
    """And the latest of them."""
    assert PROTOCOL_VERSION == max(SUPPORTED_VERSIONS)


def test_the_docs_have_the_header_of_this_version() -> None:
    """As it is sent."""
    text = DOCS.read_text(encoding="utf-8").partition("\n## Versions\n")[2].partition("\n## ")[0]
    assert f"    {PROTOCOL_HEADER}: {PROTOCOL_VERSION}\n" in text


def test_a_receiver_that_lists_no_versions_speaks_the_first() -> None:
    """Releases before the header do not list any."""
    assert (1,) == InfoBody.model_validate({"version": "1.0.0", "time": "2026-01-01T00:00:00Z"}).protocol_versions
