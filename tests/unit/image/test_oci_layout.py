"""The digests of manifests that are an image's ids in the containerd image store."""

import json
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.go_json import Documents
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.oci_layout import manifest_digests
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.tar import ArchiveLimits
from support.archives.archives import config_of, sha256

_CONFIG = f"sha256:{sha256(config_of([b'layer']))}"


class _Layout:
    """The documents of an archive, one by one."""

    def __init__(self) -> None:
        self._documents = Documents(ArchiveLimits())

    def add(self, name: str, content: bytes) -> None:
        """Add a document."""
        self._documents.keep(name, content)

    def blob(self, document: Any, more: bytes = b"") -> str:
        """Add a blob, with `more` behind the hashed content; return the digest."""
        content = json.dumps(document).encode()
        digest = sha256(content)
        self.add(f"blobs/sha256/{digest}", content + more)
        return f"sha256:{digest}"

    def image(self, config: str = _CONFIG, more: bytes = b"", **fields: Any) -> str:
        """Add an image's manifest; return its digest."""
        return self.blob({"config": {"digest": config}, "layers": [], **fields}, more)

    def index(self, *digests: str) -> None:
        """Add `index.json`."""
        self.add("index.json", json.dumps({"manifests": [{"digest": digest} for digest in digests]}).encode())

    def digests(self) -> tuple[str, ...]:
        """Follow it."""
        return manifest_digests(self._documents, _CONFIG)


@pytest.fixture
def layout() -> _Layout:
    """Start with no document."""
    return _Layout()


def test_no_layout(layout: _Layout) -> None:
    """An archive before Engine 25 has no layout, and no manifest's digest."""
    assert () == layout.digests()


def test_one_image(layout: _Layout) -> None:
    """The manifest's digest is found."""
    image = layout.image()
    layout.index(image, image)

    assert (image,) == layout.digests()


def test_index_of_platforms(layout: _Layout) -> None:
    """An index, as BuildKit makes it, comes before its image; other images and absent platforms are passed over."""
    image, attestation = layout.image(), layout.image(config="sha256:other")
    index = layout.blob({"manifests": [{"digest": image}, {"digest": attestation}, {"digest": "sha256:absent"}]})
    layout.index(index)

    assert (index, image) == layout.digests()


def test_wrong_digest(layout: _Layout) -> None:
    """A blob under a digest that is not its own is not followed."""
    layout.index(layout.image(more=b" "))

    assert () == layout.digests()


def test_too_deep(layout: _Layout) -> None:
    """Indexes in indexes are followed so far as engines make them."""
    image = layout.image()
    index = layout.blob({"manifests": [{"digest": image}]})
    layout.index(layout.blob({"manifests": [{"digest": index}]}))

    assert () == layout.digests()


@pytest.mark.parametrize(
    "index", [b"[]", b"{", b'{"manifests": 1}', b'{"manifests": [1]}', b'{"Manifests": []}', b'{"manifests": null}']
)
def test_unreadable(layout: _Layout, index: bytes) -> None:
    """A layout that cannot be read gives no id, and is no fault: nothing is loaded by it."""
    layout.add("index.json", index)

    assert () == layout.digests()


def test_circles_end(layout: _Layout) -> None:
    """Each blob is read once, however often it is named."""
    image = layout.image()
    indexes = [layout.blob({"n": n, "manifests": [{"digest": image}] * 20}) for n in range(20)]
    layout.index(*indexes * 20)

    assert (indexes[0], image, *indexes[1:]) == layout.digests()
