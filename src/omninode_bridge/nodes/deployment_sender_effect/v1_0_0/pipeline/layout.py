"""The OCI layout inside an image archive: what the containerd image store loads instead of `manifest.json`.

It takes the names from the annotations in `index.json` and follows the digests (OCI image-spec 1.1; containerd,
core/images/archive/importer.go). So both descriptions must be of the same image under the same names.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from .documents import field, parsed
from .references import normalized
from .tar import ArchiveError

__all__ = ["manifest_digests"]

_INDEX = "index.json"
_NAME = "io.containerd.image.name"
_DEPTH = 3


def manifest_digests(
    documents: Mapping[str, bytes], config_digest: str, references: tuple[str, ...]
) -> tuple[str, ...]:
    """Check the layout against what `manifest.json` says.

    Args:
        documents: The archive's JSON documents by name.
        config_digest: Of the image that `manifest.json` names.
        references: Under which it names it.

    Returns:
        The digests by which the layout names the image, outermost first; none where the archive holds no layout.

    Raises:
        ArchiveError: The layout holds another image or another name.
    """
    if _INDEX not in documents:
        return ()
    names = {normalized(reference) for reference in references}
    found: list[str] = []
    for entry in _entries(parsed(documents[_INDEX], _INDEX), _INDEX):
        name = (field(entry, "annotations", dict, _INDEX) or {}).get(_NAME)
        if name is not None and (not isinstance(name, str) or normalized(name) not in names):
            raise ArchiveError(f"{_INDEX} names {name!r}, which manifest.json does not")
        before = len(found)
        _follow(documents, entry, config_digest, found, _DEPTH)
        if before == len(found):
            raise ArchiveError(f"{_INDEX} names an image that is not in the archive")
    return tuple(dict.fromkeys(found))


def _entries(index: Any, name: str) -> list[Any]:
    return field(index, "manifests", list, name) or []


def _follow(documents: Mapping[str, bytes], entry: Any, config_digest: str, found: list[str], depth: int) -> None:
    digest = field(entry, "digest", str, _INDEX) or ""
    path = f"blobs/{digest.replace(':', '/')}"
    content = documents.get(path)
    # A manifest of another platform, or an attestation, may be named and left out.
    if content is None or _is_attestation(entry):
        return
    if not depth:
        raise ArchiveError(f"{_INDEX} leads deeper than image archives do")
    if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise ArchiveError(f"{path!r} has another SHA-256")
    manifest = parsed(content, path)
    found.append(digest)
    for inner in _entries(manifest, path):
        _follow(documents, inner, config_digest, found, depth - 1)
    config = field(manifest, "config", dict, path)
    if config is not None and field(config, "digest", str, path) != config_digest:
        raise ArchiveError(f"{path!r} is another image than manifest.json names")


def _is_attestation(entry: Any) -> bool:
    platform = field(entry, "platform", dict, _INDEX) or {}
    return {platform.get("os"), platform.get("architecture")} == {"unknown"}
