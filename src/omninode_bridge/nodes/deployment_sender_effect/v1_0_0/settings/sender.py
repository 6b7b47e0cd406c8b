"""The node's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..errors import DeploymentSenderError, ErrorCode, InvalidInputError
from ..models.fields import ReceiverPattern, ReceiverUrl
from .base import BYTES_PER_GB, AbsolutePath, Seconds, Settings, Several, SigningKey, together

__all__ = ["DeploymentSenderSettings"]


class DeploymentSenderSettings(Settings):
    """The node's settings.

    Attributes:
        package_dir: Folder of the package store and the outbox, made when needed. `package_folder` has the default.
        docker_host: As for the docker command: `unix://`, `tcp://` or `ssh://`; the local socket if not given.
        docker_tls_verify: Use TLS with a `tcp://` engine and verify its certificate.
        docker_cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem` for that; `docker_config` if not given.
        docker_config: Folder of the docker command's `config.json`, with credentials for registries and with proxies;
            `~/.docker` if not given.
        kafka_bootstrap_servers: `host:port[,host:port]`; without it events stay in the outbox.
        default_receiver_url: Where packages are sent if the input names no receiver.
        allowed_receivers: Host names, `*.SUFFIX`, addresses and networks to which packages may be sent; any if not
            given, but never link-local, metadata or multicast addresses.
        ca_file: CA certificates in PEM form that may sign a receiver's; this machine's trust store if not given.
        client_cert: Certificate in PEM form for receivers that require one.
        client_key: Its private key in PEM form, without a password; in `client_cert` if not given.
        environment: Part of every event.
        max_package_size_gb: Limit on a package, in GB of 1,000,000,000 bytes; an export stops when it is reached.
        compression: `gzip`, `zstd` or `none`.
        verify_checksums: Hash a package while it is sent, and send its end only if the checksum matches.
        max_concurrent_transfers: Number of transfers at once; further ones wait.
        transfer_attempts: Number of uploads before a transfer fails; if not given, `transfer_timeout_seconds` alone
            limits them.
        build_timeout_seconds: Limit on one build.
        export_silence_timeout_seconds: Limit on the time before the first and between two bytes of an export.
        connect_timeout_seconds: Limit on connecting to an engine or a receiver.
        idle_timeout_seconds: Limit on the time between two bytes to or from a receiver.
        transfer_timeout_seconds: Limit on one transfer, all attempts together.
        deployment_timeout_seconds: Limit on loading the image, after the receiver has stored the package.
        publish_timeout_seconds: Limit on one publish, from the call to the broker's acknowledgement.
        signing_key: `ID:SECRET`; if given, every request to a receiver is signed with it.
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
    # For examples/base_image.py and the tests.
    other_variables: ClassVar[frozenset[str]] = frozenset(
        {"DEPLOYMENT_SENDER_BASE_IMAGE", "DEPLOYMENT_SENDER_TEST_ENGINES"}
    )
    default_folders: ClassVar[Mapping[str, str]] = {"package_dir": "~/.local/share/deployment-sender"}

    # The defaults in seconds end work that hangs, not work that is slow: the largest package, 5 GB, takes 7 minutes at
    # 100 Mbit/s. Raise transfer_timeout_seconds for large packages below 12 Mbit/s.
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

    @classmethod
    def _error(cls, error: InvalidInputError) -> Exception:
        """Return the public error: programs load these settings themselves."""
        return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, error.message, recovery=error.recovery)

    @field_validator("client_key")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return together(value, info, "client_cert")

    @property
    def package_folder(self) -> Path:
        """The folder of the package store and the outbox.

        Raises:
            InvalidInputError: It is not set, and this user has no home directory.
        """
        return self._folder("package_dir", recovery="Give --package-dir DIR, or set PACKAGE_DIR (package_dir) or HOME.")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)
