"""The OCI layout inside an image archive: what the containerd image store loads instead of `manifest.json`.

It takes the names from the annotations in `index.json` and follows the digests (OCI image-spec 1.1; containerd,
core/images/archive/importer.go). So both descriptions must be of the same image under the same names.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from .documents import field, parsed
from .errors import ArchiveError
from .references import normalized

__all__ = ["manifest_digests"]

_INDEX = "index.json"
_NAME = "io.containerd.image.name"
_DEPTH = 3  # index.json, an index of platforms, its manifests


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
    entries = _entries(documents[_INDEX], _INDEX)
    _check_names(entries, references)
    seen: dict[str, None] = {}
    for depth in range(_DEPTH):
        inner: list[Any] = []
        for entry in entries:
            digest = field(entry, "digest", str, _INDEX) or ""
            path = f"blobs/{digest.replace(':', '/')}"
            # An index may name manifests of other platforms and leave them out.
            if depth == 0 and path not in documents:
                raise ArchiveError(f"{_INDEX} names {digest!r}, which is not in the archive")
            if path in documents and digest not in seen and not (depth and _is_attestation(entry)):
                seen[digest] = None
                inner += _checked(documents[path], path, digest, config_digest)
        entries = inner
    if entries:
        raise ArchiveError(f"{_INDEX} leads deeper than image archives do")
    return tuple(seen)


def _entries(content: bytes, path: str) -> list[Any]:
    return field(parsed(content, path), "manifests", list, path) or []


def _check_names(entries: list[Any], references: tuple[str, ...]) -> None:
    known = {normalized(reference) for reference in references}
    for entry in entries:
        name = (field(entry, "annotations", dict, _INDEX) or {}).get(_NAME)
        if name is not None and (not isinstance(name, str) or normalized(name) not in known):
            raise ArchiveError(f"{_INDEX} names the image {name!r}, and manifest.json does not")


def _checked(content: bytes, path: str, digest: str, config_digest: str) -> list[Any]:
    if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise ArchiveError(f"{path!r} has another SHA-256")
    config = field(parsed(content, path), "config", dict, path)
    if config is not None and field(config, "digest", str, path) != config_digest:
        raise ArchiveError(f"{path!r} is of another image than manifest.json names")
    return _entries(content, path)


def _is_attestation(entry: Any) -> bool:
    # BuildKit's mark for what is no image, so that no engine takes it for one of its platform.
    platform = field(entry, "platform", dict, _INDEX) or {}
    return platform.get("os") == platform.get("architecture") == "unknown"
