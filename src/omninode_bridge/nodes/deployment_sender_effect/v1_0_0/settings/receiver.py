"""The reference receiver's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from ..models.fields import HostName
from .base import BYTES_PER_GB, AbsolutePath, Seconds, Settings, Several, SigningKey, together

__all__ = ["ReceiverSettings"]


class ReceiverSettings(Settings):
    """The reference receiver's settings.

    Attributes:
        host: Address to listen on; anything but loopback needs a signing key.
        port: TCP port; 0 takes a free one.
        tls_cert: Certificate in PEM form, with its chain; speak TLS only.
        tls_key: Its private key in PEM form, without a password; in `tls_cert` if not given.
        tls_client_ca: Certificates in PEM form; only senders with a certificate by one of them are let in.
        host_names: Its own names, each with or without a port; a request that was signed for another `Host` is refused.
            Any `Host` will do if not given.
        store: Folder for packages and deployments. `store_folder` is in use.
        run: Start the container of each deployment.
        signing_keys: Accepted keys, each `ID:SECRET`, in the environment separated by commas or blanks.
        max_package_size_gb: Limit on a package, and on what it unpacks to ten times that.
        max_concurrent_uploads: Further ones are asked to come again (429).
        idle_timeout_seconds: Between two bytes of an upload (408).
        load_timeout_seconds: For the engine to load one image.
        docker_host: As for the sender.
        docker_tls_verify: As for the sender.
        docker_cert_path: As for the sender.
    """

    env_prefix: ClassVar[str] = "DEPLOYMENT_RECEIVER_"
    env_names: ClassVar[Mapping[str, str]] = {
        name: name.upper() for name in ("docker_host", "docker_tls_verify", "docker_cert_path")
    }
    refuses_unknown_variables: ClassVar[bool] = True  # one that is misspelt may have been meant to lock the door
    default_folders: ClassVar[Mapping[str, str]] = {"store": "~/.local/share/deployment-receiver"}

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65535)
    tls_cert: AbsolutePath | None = None
    tls_key: AbsolutePath | None = None
    tls_client_ca: AbsolutePath | None = None
    host_names: Annotated[tuple[HostName, ...], Several] = ()
    store: AbsolutePath | None = None
    run: bool = False
    signing_keys: Annotated[tuple[SigningKey, ...], Several] = ()
    max_package_size_gb: float = Field(default=5, gt=0, allow_inf_nan=False)
    max_concurrent_uploads: int = Field(default=16, ge=1)
    idle_timeout_seconds: Seconds = 60
    load_timeout_seconds: Seconds = 1800
    docker_host: str | None = None
    docker_tls_verify: bool = False
    docker_cert_path: Path | None = None

    @field_validator("tls_key", "tls_client_ca")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return together(value, info, "tls_cert")

    @property
    def store_folder(self) -> Path:
        """Where packages and deployments are. VALIDATION_ERROR where that is nowhere."""
        return self._folder("store", recovery="Give --store DIR, or set DEPLOYMENT_RECEIVER_STORE or HOME.")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)
