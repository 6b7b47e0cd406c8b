"""The reference receiver's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from ..models.fields import HostName, ReceiverUrl
from .base import BYTES_PER_GB, AbsolutePath, Seconds, Settings, Several, SigningKey, together

__all__ = ["ReceiverSettings"]

# github.com/moby/moby, daemon/daemon_unix.go: linuxMinMemory is 6 MiB, and the least share of a CPU 0.01.
_ENGINE_MIN_MEMORY_MB = 6.3
_ENGINE_MIN_CPUS = 0.01
_MIN_LOG_MB = 0.01  # 10 kB: smaller files would be replaced after a few lines


class ReceiverSettings(Settings):
    """The reference receiver's settings.

    Attributes:
        host: Address to listen on; any other than loopback needs a signing key.
        port: TCP port; 0 for a free one.
        tls_cert: Certificate in PEM form, with its chain; if given, only TLS is accepted.
        tls_key: Its private key in PEM form, without a password; in `tls_cert` if not given.
        tls_client_ca: CA certificates in PEM form; only senders with a certificate signed by one of them are accepted.
        host_names: Its own names, each with or without a port; a request for another `Host` is refused. If not given,
            any `Host` is accepted with a signing key, and only loopback names without one.
        public_url: Its URL as senders write it, if a proxy before it changes the `Host` or the path: signatures are
            checked against that URL.
        store: Folder for packages and deployments. `store_folder` has the default.
        run: Start the container of each deployment.
        container_memory_mb: Limit on a container's memory, in MB of 1,000,000 bytes; it gets no swap.
        container_cpus: Limit on a container's cores, such as 0.5; all of them if not given.
        container_pids: Limit on a container's processes and threads.
        container_log_max_mb: Limit on one log file of a container, in MB of 1,000,000 bytes.
        container_log_files: Number of log files that are kept.
        container_stop_seconds: Time for a container to stop before it is killed.
        start_watch_seconds: How long a new container must stay up before it replaces the old one.
        health_timeout_seconds: How long a new container's own health check may take at most.
        watch_interval_seconds: How often the receiver checks which containers run.
        signing_keys: Accepted keys, each `ID:SECRET`, in the environment separated by commas or blanks.
        max_package_size_gb: Limit on a package, in GB of 1,000,000,000 bytes; unpacked it may have ten times that.
        max_concurrent_uploads: Number of uploads at once; further ones get the status 429.
        idle_timeout_seconds: Limit on the time between two bytes of an upload; then it gets the status 408.
        load_timeout_seconds: Limit on loading one image into the engine.
        docker_host: As for the sender.
        docker_tls_verify: As for the sender.
        docker_cert_path: As for the sender.
        docker_config: As for the sender.
    """

    env_prefix: ClassVar[str] = "DEPLOYMENT_RECEIVER_"
    env_names: ClassVar[Mapping[str, str]] = {
        name: name.upper() for name in ("docker_host", "docker_tls_verify", "docker_cert_path", "docker_config")
    }
    refuses_unknown_variables: ClassVar[bool] = True  # a misspelt one may be about security
    default_folders: ClassVar[Mapping[str, str]] = {"store": "~/.local/share/deployment-receiver"}

    # Why the limits are what they are: one container must not use up a small machine. An upload that stalls ends here
    # after 60 s, before its sender gives up after 120 s, so the sender learns the reason.
    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65535)
    tls_cert: AbsolutePath | None = None
    tls_key: AbsolutePath | None = None
    tls_client_ca: AbsolutePath | None = None
    host_names: Annotated[tuple[HostName, ...], Several] = ()
    public_url: ReceiverUrl | None = None
    store: AbsolutePath | None = None
    run: bool = False
    container_memory_mb: float = Field(default=512, ge=_ENGINE_MIN_MEMORY_MB, allow_inf_nan=False)
    container_cpus: float | None = Field(default=None, ge=_ENGINE_MIN_CPUS, allow_inf_nan=False)
    container_pids: int = Field(default=512, ge=1)
    container_log_max_mb: float = Field(default=10, ge=_MIN_LOG_MB, allow_inf_nan=False)
    container_log_files: int = Field(default=3, ge=1)
    container_stop_seconds: Seconds = 10
    start_watch_seconds: Seconds = 10
    health_timeout_seconds: Seconds = 300
    watch_interval_seconds: Seconds = 5
    signing_keys: Annotated[tuple[SigningKey, ...], Several] = ()
    max_package_size_gb: float = Field(default=5, gt=0, allow_inf_nan=False)
    max_concurrent_uploads: int = Field(default=16, ge=1)
    idle_timeout_seconds: Seconds = 60
    load_timeout_seconds: Seconds = 1800
    docker_host: str | None = None
    docker_tls_verify: bool = False
    docker_cert_path: Path | None = None
    docker_config: Path | None = None

    @field_validator("tls_key", "tls_client_ca")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return together(value, info, "tls_cert")

    @property
    def store_folder(self) -> Path:
        """The folder of packages and deployments.

        Raises:
            InvalidInputError: It is not set, and this user has no home directory.
        """
        return self._folder("store", recovery="Give --store DIR, or set DEPLOYMENT_RECEIVER_STORE or HOME.")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)
