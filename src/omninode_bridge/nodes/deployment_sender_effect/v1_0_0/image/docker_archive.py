"""Reads the archive that `docker save` writes, once, strictly and within bounds.

Three formats are one here: that of Engine 1.10 to 24 (`ID/layer.tar`, `CONFIG.json`, `manifest.json`), the OCI image
layout with `manifest.json` of Engine 25 and newer, and that of the containerd image store, whose layers may be
compressed (github.com/moby/moby, image/tarexport; OCI image-spec 1.1, image-layout.md).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..models.reference import ImageReference
from .configuration import check_configuration
from .descriptor import Layer
from .errors import ArchiveError
from .go_json import Documents, field
from .layers import LayerReader
from .oci_layout import manifest_digests
from .tar import ArchiveLimits, Member, TarReader, check_padding

__all__ = ["ImageArchive", "read_archive"]

_MANIFEST = "manifest.json"
_LINKS = {"symlink", "hardlink"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageArchive:
    """The content of an image archive: one whole image.

    Attributes:
        references: The names that loading it sets, as the archive spells them.
        config: The image's configuration, byte for byte as in the archive.
        config_digest: Its SHA-256, `sha256:...`: the image's id in the classic image store.
        manifest_digests: From the archive's OCI layout, outermost first: the image's id in the containerd image store.
        layers: Lowest first. Where they were read, each is the one that the configuration names.
        size_bytes: Of the whole archive, without the zeros that some programs put behind its end.
    """

    references: tuple[str, ...]
    config: bytes
    config_digest: str
    manifest_digests: tuple[str, ...]
    layers: tuple[Layer, ...]
    size_bytes: int

    def names(self, reference: str) -> bool:
        """Return whether loading it sets this `name:tag` and no other."""
        return set(map(ImageReference.parse, self.references)) == {ImageReference.parse(reference)}

    def is_image(self, image_id: str) -> bool:
        """Return whether an engine of either image store may know the image by this id."""
        return image_id == self.config_digest or image_id in self.manifest_digests


def read_archive(
    chunks: Iterable[bytes | memoryview],
    *,
    limits: ArchiveLimits | None = None,
    layers: LayerReader | None = None,
    stop_at_end: bool = False,
) -> ImageArchive:
    """Read an image archive, keeping its small documents only.

    Args:
        chunks: The archive's bytes, split anyhow; zeros may follow its end.
        limits: What the archive may hold at most.
        layers: Reads the layers and compares them with the configuration; if None, they are passed over.
        stop_at_end: Take no chunk behind the one with the archive's end.

    Raises:
        ArchiveError: It is not exactly one whole image.
        PackageTooLargeError: The layers decompress to more than the limit of `layers`.
    """
    pieces = iter(chunks)
    reader = _ArchiveReader(limits or ArchiveLimits(), layers)
    size_bytes = reader.read(pieces)
    if not stop_at_end:
        for piece in pieces:
            check_padding(piece)
    return reader.image(size_bytes)


class _ArchiveReader:
    """Collects what is known of an archive while it is read."""

    def __init__(self, limits: ArchiveLimits, layers: LayerReader | None) -> None:
        self._limits = limits
        self._layers = layers
        self._members: dict[str, Member] = {}
        self._documents = Documents(limits)
        self._names_characters = 0
        self._file_bytes = 0

    def read(self, chunks: Iterator[bytes | memoryview]) -> int:
        """Read up to the archive's end; return its size in bytes."""
        tar = TarReader(chunks, self._limits)
        for member, passing in tar:
            self._add(member)
            content = passing
            if self._documents.accepts(member.size):
                document = b"".join(passing)
                self._documents.keep(member.name, document)
                content = iter((memoryview(document),))
            if self._layers is not None and member.kind == "file":
                self._layers.read(member.name, content)
        return tar.taken_bytes

    def image(self, size_bytes: int) -> ImageArchive:
        """Return what the archive holds, now that all of it was read."""
        self._check_tree()
        image = self._only_image()
        config_name = self._config_name(field(image, "Config", str, _MANIFEST))
        config, diff_ids = self._documents.get(config_name) or b"", self._diff_ids(config_name)
        paths = _texts(field(image, "Layers", list, _MANIFEST), "Layers")
        if len(paths) != len(diff_ids):
            raise ArchiveError(f"{_MANIFEST} names {len(paths)} layers and {config_name!r} {len(diff_ids)}")
        if len(paths) > self._limits.layers:
            raise ArchiveError(f"the image has more than {self._limits.layers} layers")
        files = [self._file(path) for path in paths]
        self._check_unnamed(sum(file.size for file in {file.name: file for file in files}.values()))
        config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        return ImageArchive(
            references=_texts(field(image, "RepoTags", list, _MANIFEST), "RepoTags"),
            config=config,
            config_digest=config_digest,
            manifest_digests=manifest_digests(self._documents, config_digest),
            layers=tuple(self._layer(file, diff_id) for file, diff_id in zip(files, diff_ids, strict=True)),
            size_bytes=size_bytes,
        )

    def _add(self, member: Member) -> None:
        self._names_characters += len(member.name) + len(member.target)
        if self._names_characters > self._limits.names_characters:
            raise ArchiveError(f"the archive's names are longer than {self._limits.names_characters} characters")
        before = self._members.setdefault(member.name, member)
        is_second = before is not member
        if is_second and (before.kind, member.kind) != ("folder", "folder"):
            raise ArchiveError(f"the archive holds {member.name!r} twice")
        self._file_bytes += member.size

    def _layer(self, file: Member, diff_id: str) -> Layer:
        return Layer(diff_id, file.name, file.size) if self._layers is None else self._layers.layer(file, diff_id)

    def _check_tree(self) -> None:
        for member in self._members.values():
            if member.kind in _LINKS and self._members.get(member.target, member).kind != "file":
                raise ArchiveError(f"the link {member.name!r} does not lead to a file of the archive")
            above = member.name
            while above := above.rpartition("/")[0]:
                if above in self._members and self._members[above].kind != "folder":
                    raise ArchiveError(f"{member.name!r} lies in something that is no folder")

    def _only_image(self) -> Any:
        images = self._documents.parsed(_MANIFEST)
        if not isinstance(images, list) or len(images) != 1:
            raise ArchiveError(f"{_MANIFEST} does not name exactly one image")
        return images[0]

    def _file(self, path: str) -> Member:
        member = self._members.get(path)
        if member is not None and member.kind in _LINKS:
            member = self._members[member.target]
        if member is None or member.kind != "file":
            raise ArchiveError(f"{path!r} is not in the archive")
        return member

    def _config_name(self, path: str | None) -> str:
        if path is None:
            raise ArchiveError(f"{_MANIFEST} names no configuration")
        return self._file(path).name

    def _diff_ids(self, config_name: str) -> tuple[str, ...]:
        config = self._documents.parsed(config_name)
        check_configuration(config)
        rootfs = field(config, "rootfs", dict, config_name)
        diff_ids = _texts(field(rootfs or {}, "diff_ids", list, config_name), "diff_ids")
        if not all(_DIGEST.fullmatch(diff_id) for diff_id in diff_ids):
            raise ArchiveError(f"{config_name!r} holds a diff id that is no SHA-256")
        return diff_ids

    def _check_unnamed(self, layers_bytes: int) -> None:
        unnamed = self._file_bytes - layers_bytes
        if unnamed > self._limits.unnamed_bytes:
            raise ArchiveError(f"the archive holds {unnamed} bytes that are no layer of its image")


def _texts(values: list[Any] | None, key: str) -> tuple[str, ...]:
    texts = tuple(value for value in values or [] if isinstance(value, str))
    if len(texts) != len(values or []):
        raise ArchiveError(f"{key} does not hold texts only")
    return texts
