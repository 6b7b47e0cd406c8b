"""Image archives as engines write them, small and real: each of them can be loaded."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.compression import compressing
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression

__all__ = ["Style", "compressed", "config_of", "image_archive", "image_members", "layer", "sha256", "written"]

Style = Literal["legacy", "oci", "containerd"]
_OCI = "application/vnd.oci.image"


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def compressed(kind: Compression, *pieces: bytes) -> bytes:
    """Compress as the sender does."""
    sink = io.BytesIO()
    with compressing(sink, kind) as take:
        for piece in pieces:
            take(piece)
    return sink.getvalue()


def layer(**files: bytes) -> bytes:
    """Make a layer that holds these files."""
    return written(files or {"hello": b"Hello\n"})


def written(members: Mapping[str, bytes], others: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> bytes:
    """Write a tar archive as engines do, with no padding behind its end.

    Args:
        members: Content by name; a name that ends in a slash is a folder.
        others: Members as they are, after the first.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode = 0o755
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info, content in others:
            archive.addfile(info, io.BytesIO(content))
        end = archive.offset + 2 * tarfile.BLOCKSIZE
    return buffer.getvalue()[:end]


def config_of(layers: Sequence[bytes], command: Sequence[str] = ("/hello",)) -> bytes:
    """Make the configuration of an image with these (uncompressed) layers."""
    return _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(content)}" for content in layers]},
        }
    )


def image_members(
    style: Style = "oci",
    reference: str | None = "hello:1.0",
    layers: Sequence[bytes] | None = None,
    config: bytes | None = None,
) -> dict[str, bytes]:
    """Make the members of an image archive, in the engine's order.

    Args:
        style: `legacy` as Engine 20.10 writes it, `oci` as Engine 25 and newer, `containerd` as its other image
            store, which keeps layers gzipped.
        reference: The image's `name:tag`; None for an image that was exported by its id.
        layers: Uncompressed, lowest first; one small layer if not given.
        config: The image's configuration; one that fits the layers if not given.
    """
    layers = [layer()] if layers is None else layers
    config = config_of(layers) if config is None else config
    if style == "legacy":
        return _legacy(reference, layers, config)
    blobs = [gzip.compress(content, mtime=0) for content in layers] if style == "containerd" else list(layers)
    return _layout(reference, blobs, config, "tar+gzip" if style == "containerd" else "tar")


def image_archive(
    style: Style = "oci", reference: str | None = "hello:1.0", layers: Sequence[bytes] | None = None
) -> bytes:
    """Make a whole image archive; see `image_members`."""
    return written(image_members(style, reference, layers))


def _legacy(reference: str | None, layers: Sequence[bytes], config: bytes) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    paths = []
    for number, content in enumerate(layers):
        folder = sha256(b"%d %s" % (number, content))
        members |= {
            f"{folder}/": b"",
            f"{folder}/VERSION": b"1.0",
            f"{folder}/json": _json({"id": folder}),
            f"{folder}/layer.tar": content,
        }
        paths.append(f"{folder}/layer.tar")
    name = f"{sha256(config)}.json"
    tags = [reference] if reference else None
    return members | {name: config, "manifest.json": _json([{"Config": name, "RepoTags": tags, "Layers": paths}])}


def _layout(reference: str | None, layers: Sequence[bytes], config: bytes, kind: str) -> dict[str, bytes]:
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(config, "config.v1+json"),
            "layers": [_descriptor(content, f"layer.v1.{kind}") for content in layers],
        }
    )
    entry: dict[str, Any] = _descriptor(manifest, "manifest.v1+json")
    if reference:
        name, _, tag = reference.rpartition(":")
        full = f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"
        entry["annotations"] = {
            "io.containerd.image.name": f"{full}:{tag}",
            "org.opencontainers.image.ref.name": tag,
        }
    loaded = {
        "Config": _path(config),
        "RepoTags": [reference] if reference else None,
        "Layers": [_path(content) for content in layers],
    }
    return {
        "blobs/": b"",
        "blobs/sha256/": b"",
        **{_path(content): content for content in (*layers, config, manifest)},
        "index.json": _json({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}),
        "manifest.json": _json([loaded]),
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
    }


def _path(content: bytes) -> str:
    return f"blobs/sha256/{sha256(content)}"


def _descriptor(content: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{sha256(content)}", "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
