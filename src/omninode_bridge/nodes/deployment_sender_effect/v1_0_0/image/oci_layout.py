"""Finds the ids that the containerd image store gives to an image: digests of manifests in an archive's OCI layout.

They are only compared with an id that was announced; nothing is loaded by them (OCI image-spec 1.1, image-layout.md).
"""

import hashlib

from .descriptor import Descriptor, ImageIndex, blob_path
from .errors import ArchiveError
from .go_json import Documents, field

__all__ = ["manifest_digests"]

_INDEX = "index.json"
_DEPTH = 2  # below index.json: an index of platforms, its manifests


def manifest_digests(documents: Documents, config_digest: str) -> tuple[str, ...]:
    """Follow the digests from `index.json` on.

    Args:
        documents: The archive's.
        config_digest: Of the image's configuration, `sha256:...`.

    Returns:
        The digests of the documents that lead to this configuration, by SHA-256 all the way; none where there is no
        layout, or one that cannot be read.
    """
    found: dict[str, bool] = {}
    _leads_to(documents, _INDEX, config_digest, _DEPTH, found)
    return tuple(digest for digest, leads in found.items() if leads)


def _leads_to(documents: Documents, path: str, config_digest: str, depth: int, found: dict[str, bool]) -> bool:
    try:
        document = documents.parsed(path)
        config = field(document, "config", dict, path)
        if config is not None:
            return Descriptor.parse(config, path).digest == config_digest
        digests = dict.fromkeys(entry.digest for entry in ImageIndex.parse(document, path).manifests)
    except ArchiveError:
        return False
    for digest in digests if depth else ():
        inner = blob_path(digest)
        content = documents.get(inner)
        if content is None or digest in found:
            continue
        found[digest] = False  # before what it holds, so that the outermost comes first, and each is read once
        if digest == f"sha256:{hashlib.sha256(content).hexdigest()}":
            found[digest] = _leads_to(documents, inner, config_digest, depth - 1, found)
    return any(found.get(digest) for digest in digests)
