"""What a receiver says about itself: the answer to `GET /info` (docs/receiver-protocol.md)."""

from pydantic import BaseModel, ConfigDict

__all__ = ["INFO_PATH", "EngineBody", "InfoBody"]

INFO_PATH = "/info"


class EngineBody(BaseModel):
    """The engine that loads the receiver's images.

    Attributes:
        name: What answers: `Docker Engine` or `Podman Engine`.
        store: The image store: `overlay2`, `io.containerd.snapshotter.v1`, ...
        os: As OCI images name it, `linux`.
        architecture: As OCI images name it, `amd64`, `arm64`, `arm`, ...
        variant: Of the architecture, `v7`, where the engine tells one.
    """

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    name: str
    version: str
    store: str
    os: str
    architecture: str
    variant: str | None = None


class InfoBody(BaseModel):
    """A receiver as it is now.

    Attributes:
        version: Of the receiver's distribution.
        time: The receiver's clock, RFC 3339 in UTC.
        engine: None when it does not answer; `engine_error` says why.
        free_bytes: Space left on the disk of the receiver's store.
        max_package_bytes: The largest package that it takes.
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
