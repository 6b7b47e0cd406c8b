"""The node's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..models.fields import ReceiverPattern, ReceiverUrl
from .base import BYTES_PER_GB, AbsolutePath, Seconds, Settings, Several, SigningKey, together

__all__ = ["DeploymentSenderSettings"]


class DeploymentSenderSettings(Settings):
    """The node's settings.

    Attributes:
        package_dir: The package store and the outbox live here; made when first needed. `package_folder` is in use.
        docker_host: As for `docker`: `unix://`, `tcp://` or `ssh://`; the local socket if not given.
        docker_tls_verify: Speak TLS to a `tcp://` engine and verify it.
        docker_cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem` for that; `docker_config` if not given.
        docker_config: Folder of the docker command's `config.json`, with credentials for registries and with proxies;
            `~/.docker` if not given.
        kafka_bootstrap_servers: `host:port[,host:port]`; without it events stay in the outbox.
        default_receiver_url: Where packages go when the input names no receiver.
        allowed_receivers: Host names, `*.SUFFIX`, addresses and networks that packages may go to; everywhere if not
            given, but never to link-local, metadata or multicast addresses.
        ca_file: Certificates in PEM form of who may vouch for a receiver's; this machine's trust store if not given.
        client_cert: Certificate in PEM form to show to receivers that want one.
        client_key: Its private key in PEM form, without a password; in `client_cert` if not given.
        environment: Told in every event.
        max_package_size_gb: In GB of 1,000,000,000 bytes; an export stops at it.
        compression: `gzip`, `zstd` or `none`.
        verify_checksums: Hash a package while it is sent, and send its end only if the checksum matches.
        max_concurrent_transfers: Further ones wait.
        transfer_attempts: Uploads tried before a transfer fails; as many as `transfer_timeout_seconds` allows if not
            given.
        build_timeout_seconds: For one build, start to end.
        export_silence_timeout_seconds: Between two bytes of an export; an engine is silent before the first.
        connect_timeout_seconds: To reach an engine or a receiver.
        idle_timeout_seconds: Between two bytes to or from a receiver.
        transfer_timeout_seconds: For one transfer, all attempts together.
        deployment_timeout_seconds: For the receiver to load the image, after it took the package.
        publish_timeout_seconds: For one publish, from the call to the broker's acknowledgement.
        signing_key: `ID:SECRET`; every request to a receiver is signed with it if given.
    """

    env_prefix: ClassVar[str] = "DEPLOYMENT_SENDER_"
    env_names: ClassVar[Mapping[str, str]] = {
        name: name.upper()
        for name in (
            "package_dir",
            "docker_host",
            "docker_tls_verify",
            "docker_cert_path",
            "docker_config",
            "kafka_bootstrap_servers",
            "default_receiver_url",
        )
    }
    # Of examples/base_image.py and of the tests.
    other_variables: ClassVar[frozenset[str]] = frozenset(
        {"DEPLOYMENT_SENDER_BASE_IMAGE", "DEPLOYMENT_SENDER_TEST_ENGINES"}
    )
    default_folders: ClassVar[Mapping[str, str]] = {"package_dir": "~/.local/share/deployment-sender"}

    package_dir: AbsolutePath | None = None
    docker_host: str | None = None
    docker_tls_verify: bool = False
    docker_cert_path: Path | None = None
    docker_config: Path | None = None
    kafka_bootstrap_servers: str | None = None
    default_receiver_url: ReceiverUrl | None = None
    allowed_receivers: Annotated[tuple[ReceiverPattern, ...], Several] = ()
    ca_file: AbsolutePath | None = None
    client_cert: AbsolutePath | None = None
    client_key: AbsolutePath | None = None
    environment: str = "development"
    max_package_size_gb: float = Field(default=5, gt=0, allow_inf_nan=False)
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    verify_checksums: bool = True
    max_concurrent_transfers: int = Field(default=5, ge=1)
    transfer_attempts: Annotated[int, Field(ge=1)] | None = None
    build_timeout_seconds: Seconds = 1800
    export_silence_timeout_seconds: Seconds = 600
    connect_timeout_seconds: Seconds = 10
    idle_timeout_seconds: Seconds = 120
    transfer_timeout_seconds: Seconds = 3600
    deployment_timeout_seconds: Seconds = 1800
    publish_timeout_seconds: Seconds = 5
    signing_key: SigningKey | None = None

    @field_validator("client_key")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return together(value, info, "client_cert")

    @property
    def package_folder(self) -> Path:
        """Where the package store and the outbox are. VALIDATION_ERROR where that is nowhere."""
        return self._folder("package_dir", recovery="Give --package-dir DIR, or set PACKAGE_DIR (package_dir) or HOME.")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)
