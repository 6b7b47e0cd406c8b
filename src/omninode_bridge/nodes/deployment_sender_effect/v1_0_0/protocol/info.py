"""The response to `GET /info`, a receiver's description of itself (docs/receiver-protocol.md)."""

from pydantic import BaseModel, ConfigDict

__all__ = ["INFO_PATH", "EngineBody", "InfoBody"]

INFO_PATH = "/info"


class EngineBody(BaseModel):
    """The engine that loads the receiver's images.

    Attributes:
        name: `Docker Engine` or `Podman Engine`.
        store: The image store: `overlay2`, `io.containerd.snapshotter.v1`, ...
        os: In the terms of OCI images, `linux`.
        architecture: In the terms of OCI images, `amd64`, `arm64`, `arm`, ...
        variant: The architecture's variant, `v7`, where the engine reports one.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    name: str
    version: str
    store: str
    os: str
    architecture: str
    variant: str | None = None


class InfoBody(BaseModel):
    """A receiver at one moment.

    Attributes:
        version: The version of the receiver's distribution.
        time: The receiver's clock, RFC 3339 in UTC.
        engine: None when it does not respond; `engine_error` has the reason.
        free_bytes: Space left on the disk of the receiver's store.
        max_package_bytes: The largest package that it accepts.
        will_run: Whether it starts containers.
        protocol_versions: The versions of the protocol that it speaks; receivers of version 1 do not report it.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    version: str
    time: str
    engine: EngineBody | None = None
    engine_error: str | None = None
    free_bytes: int | None = None
    max_package_bytes: int | None = None
    will_run: bool = False
    protocol_versions: tuple[int, ...] = (1,)
