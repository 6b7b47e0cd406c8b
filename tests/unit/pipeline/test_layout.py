"""The OCI layout must say what manifest.json says."""

import json
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.pipeline.errors import ArchiveError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.pipeline.layout import manifest_digests
from support.archives import config_of, sha256

_CONFIG = f"sha256:{sha256(config_of([b'layer']))}"
_UNKNOWN = {"os": "unknown", "architecture": "unknown"}


class _Layout:
    """Documents under construction."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def blob(self, document: Any) -> str:
        """Add a blob; answer its digest."""
        content = json.dumps(document).encode()
        digest = sha256(content)
        self.documents[f"blobs/sha256/{digest}"] = content
        return f"sha256:{digest}"

    def image(self, config: str = _CONFIG, **more: str) -> str:
        """Add an image's manifest; answer its digest."""
        return self.blob({"config": {"digest": config}, "layers": [], **more})

    def index(self, *entries: Any) -> None:
        """Add `index.json`."""
        self.documents["index.json"] = json.dumps({"manifests": entries}).encode()

    def digests(self, *references: str) -> tuple[str, ...]:
        """Check it."""
        return manifest_digests(self.documents, _CONFIG, references or ("hello:1.0",))


def _named(digest: str, name: Any = "docker.io/library/hello:1.0") -> Any:
    return {"digest": digest, "annotations": {"io.containerd.image.name": name}}


@pytest.fixture
def layout() -> _Layout:
    """Start with no document."""
    return _Layout()


def test_no_layout(layout: _Layout) -> None:
    """An archive before Engine 25 has no layout, and no manifest's digest."""
    assert layout.digests() == ()


def test_one_image(layout: _Layout) -> None:
    """The manifest's digest is answered."""
    image = layout.image()
    layout.index(_named(image))

    assert (image,) == layout.digests()


def test_index_of_platforms(layout: _Layout) -> None:
    """An index, as BuildKit makes it, comes before its image; attestations and absent platforms are passed over."""
    image, attestation = layout.image(), layout.image(config="sha256:other")
    index = layout.blob(
        {"manifests": [{"digest": image}, {"digest": attestation, "platform": _UNKNOWN}, {"digest": "sha256:absent"}]}
    )
    layout.index(_named(index))

    assert (index, image) == layout.digests()


def test_two_names_of_one_image(layout: _Layout) -> None:
    """An image may stand there twice, once under each of its names."""
    image = layout.image()
    layout.index(_named(image), _named(image, "registry.example/hello:2"))

    assert (image,) == layout.digests("hello:1.0", "registry.example/hello:2")


@pytest.mark.parametrize("name", ["docker.io/library/hello:2.0", "docker.io/library/victim:1.0", 7])
def test_another_name(layout: _Layout, name: Any) -> None:
    """A name that manifest.json does not know is refused: the containerd image store would set it."""
    layout.index(_named(layout.image(), name))

    with pytest.raises(ArchiveError, match="names"):
        layout.digests()


@pytest.mark.parametrize("platform", [None, _UNKNOWN])
def test_another_image(layout: _Layout, platform: Any) -> None:
    """A second image is refused, whatever it says of itself."""
    layout.index(_named(layout.image()), {"digest": layout.image(config="sha256:other"), "platform": platform})

    with pytest.raises(ArchiveError, match="another image"):
        layout.digests()


def test_absent_image(layout: _Layout) -> None:
    """An image that is named and not there is refused: the engine might have one of that digest."""
    layout.index(_named("sha256:absent"))

    with pytest.raises(ArchiveError, match="not in the archive"):
        layout.digests()


def test_wrong_digest(layout: _Layout) -> None:
    """A blob must have the digest it is named after."""
    image = layout.image()
    layout.documents[f"blobs/{image.replace(':', '/')}"] += b" "
    layout.index(_named(image))

    with pytest.raises(ArchiveError, match="another SHA-256"):
        layout.digests()


def test_too_deep(layout: _Layout) -> None:
    """Indexes in indexes end somewhere."""
    digest = layout.image()
    for _ in range(4):
        digest = layout.blob({"manifests": [{"digest": digest}]})
    layout.index(_named(digest))

    with pytest.raises(ArchiveError, match="deeper"):
        layout.digests()
