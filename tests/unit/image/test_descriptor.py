"""Descriptors and indexes, read from JSON and written to it."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.descriptor import Descriptor, ImageIndex, blob_path
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError

_DIGEST = f"sha256:{'ab' * 32}"
_JSON = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": _DIGEST, "size": 7}


def test_a_descriptor_is_read_and_written() -> None:
    """What is written is what was read; further keys are ignored."""
    descriptor = Descriptor.parse(_JSON | {"platform": {}}, "x")

    assert Descriptor("application/vnd.oci.image.manifest.v1+json", _DIGEST, 7) == descriptor
    assert _JSON == descriptor.to_json()


def test_absent_fields_are_empty() -> None:
    """Absent fields and null have their empty value, as in Go."""
    assert Descriptor("", "", 0) == Descriptor.parse({"digest": None}, "x")


@pytest.mark.parametrize("document", [[], "x", {"digest": 1}, {"size": "7"}, {"mediaType": []}, {"Digest": _DIGEST}])
def test_a_descriptor_of_other_types_is_refused(document: Any) -> None:
    """A field of another type, or in another case, could be read in two ways."""
    with pytest.raises(ArchiveError, match="'x'"):
        Descriptor.parse(document, "x")


def test_an_index_lists_descriptors() -> None:
    """The manifests stay in their order; an index may have none."""
    other = _JSON | {"size": 8}

    expected = ImageIndex((Descriptor.parse(_JSON, "x"), Descriptor.parse(other, "x")))
    assert expected == ImageIndex.parse({"manifests": [_JSON, other]}, "x")
    assert ImageIndex(()) == ImageIndex.parse({}, "x")


@pytest.mark.parametrize("document", [{"manifests": {}}, {"manifests": [1]}])
def test_an_index_of_other_types_is_refused(document: Any) -> None:
    """Manifests are a list of objects."""
    with pytest.raises(ArchiveError):
        ImageIndex.parse(document, "x")


def test_blob_path() -> None:
    """A blob is found by the algorithm and the hex digits of its digest."""
    assert f"blobs/sha256/{'ab' * 32}" == blob_path(_DIGEST)
