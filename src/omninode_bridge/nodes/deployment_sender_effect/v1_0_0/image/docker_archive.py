"""The archive that `docker save` writes, read once, strictly and within bounds, while its bytes pass.

Three formats are one here: that of Engine 1.10 to 24 (`ID/layer.tar`, `CONFIG.json`, `manifest.json`), the OCI image
layout with `manifest.json` of Engine 25 and newer, and that of the containerd image store, whose layers may be
compressed (github.com/moby/moby, image/tarexport; OCI image-spec 1.1, image-layout.md).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from ..models.reference import normalized
from .configuration import check_configuration
from .errors import ArchiveError
from .go_json import Documents, field
from .layers import Contents, StoredLayer
from .oci_layout import manifest_digests
from .tar import ArchiveLimits, ContentTaker, Member, TarReader

__all__ = ["ArchiveError", "ArchiveLimits", "ArchiveReader", "ImageArchive", "Layer"]

_MANIFEST = "manifest.json"
_LINKS = {"symlink", "hardlink"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        diff_id: SHA-256 of the uncompressed layer, `sha256:...`; the same on every engine.
        size_bytes: Its bytes in the archive, where it may be compressed.
    """

    diff_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ImageArchive:
    """What an image archive holds: one whole image.

    Attributes:
        references: The names that loading it sets, as the archive spells them.
        config: The image's configuration, as it stands in the archive.
        config_digest: Its SHA-256, `sha256:...`: the image's id in the classic image store.
        manifest_digests: From the archive's OCI layout, outermost first: the image's id in the containerd image store.
        layers: Lowest first.
        size_bytes: Of the whole archive, without the zeros that some programs put behind its end.
        stored: Where each layer is, lowest first, and that it is the one that the configuration names; empty if the
            reader was not asked to look into layers.
    """

    references: tuple[str, ...]
    config: bytes
    config_digest: str
    manifest_digests: tuple[str, ...]
    layers: tuple[Layer, ...]
    size_bytes: int
    stored: tuple[StoredLayer, ...] = ()

    def names(self, reference: str) -> bool:
        """Tell whether loading it sets this `name:tag` and no other."""
        return {normalized(own) for own in self.references} == {normalized(reference)}

    def is_image(self, image_id: str) -> bool:
        """Tell whether an engine of either image store may know the image by this id."""
        return image_id == self.config_digest or image_id in self.manifest_digests


class ArchiveReader:
    """Reads an image archive that is pushed in, split anyhow; keeps its small documents only.

    Args:
        limits: What the archive may hold at most.
        contents: Looks into the layers, if given.
    """

    def __init__(self, limits: ArchiveLimits | None = None, contents: Contents | None = None) -> None:
        self._limits = limits or ArchiveLimits()
        self._contents = contents
        self._tar = TarReader(self._limits, self._take)
        self._members: dict[str, Member] = {}
        self._documents = Documents(self._limits)
        self._names_characters = 0
        self._file_bytes = 0
        self._size_bytes = 0

    def feed(self, chunk: bytes | memoryview) -> int:
        """Take the next bytes; answer how many of them the archive has, behind whose end there are zeros at most.

        Raises:
            ArchiveError: They break a rule; the reader is of no more use then.
        """
        taken = self._tar.feed(chunk)
        self._size_bytes += taken
        return taken

    @property
    def ended(self) -> bool:
        """Whether the archive's end has come."""
        return self._tar.ended

    def finish(self) -> ImageArchive:
        """Answer what the archive holds, now that all of it was fed.

        Raises:
            ArchiveError: It is not exactly one whole image.
        """
        self._tar.finish()
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
            layers=tuple(Layer(diff_id, file.size) for diff_id, file in zip(diff_ids, files, strict=True)),
            size_bytes=self._size_bytes,
            stored=self._stored(files, diff_ids),
        )

    def _take(self, member: Member) -> ContentTaker | None:
        self._names_characters += len(member.name) + len(member.target)
        if self._names_characters > self._limits.names_characters:
            raise ArchiveError(f"the archive's names are longer than {self._limits.names_characters} characters")
        before = self._members.setdefault(member.name, member)
        if before is not member and not before.kind == member.kind == "folder":
            raise ArchiveError(f"the archive holds {member.name!r} twice")
        if member.kind != "file":
            return None
        self._file_bytes += member.size
        document = self._documents.collect(member)
        content = self._contents.collect(member) if self._contents else None
        if document is None or content is None:
            return document or content

        def take(data: memoryview) -> None:
            document(data)
            content(data)

        return take

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

    def _stored(self, files: list[Member], diff_ids: tuple[str, ...]) -> tuple[StoredLayer, ...]:
        if self._contents is None:
            return ()
        return tuple(self._contents.layer(file.name, diff_id) for file, diff_id in zip(files, diff_ids, strict=True))


def _texts(values: list[Any] | None, key: str) -> tuple[str, ...]:
    texts = tuple(value for value in values or [] if isinstance(value, str))
    if len(texts) != len(values or []):
        raise ArchiveError(f"{key} does not hold texts only")
    return texts
