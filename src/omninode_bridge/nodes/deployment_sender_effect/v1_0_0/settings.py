"""Configuration, read once: container values win over the environment, the environment over defaults.

The only reader of `os.environ`. Four variables have names of their own because other programs share them; every
other setting `x` is read from `DEPLOYMENT_SENDER_X`, and the receiver's from `DEPLOYMENT_RECEIVER_X`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from .models import validation_error
from .models.fields import HostName, ReceiverPattern, ReceiverUrl

__all__ = ["BYTES_PER_GB", "DeploymentSenderSettings", "ReceiverSettings", "split_signing_key"]

BYTES_PER_GB = 1_000_000_000
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEY_MIN_BYTES = 32  # RFC 2104 section 3: a key shorter than the hash's output weakens the HMAC


def split_signing_key(text: str) -> tuple[str, bytes]:
    """Split `ID:SECRET` into the key's id and the key's bytes.

    Raises:
        ValueError: The id is not 1 to 64 of `A-Z a-z 0-9 . _ -`, or the secret has under 32 bytes.
    """
    key_id, _, secret = text.partition(":")
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError(
            "a signing key is ID:SECRET, and the ID is 1 to 64 letters, digits, dots, dashes or underscores"
        )
    if len(secret.encode()) < _KEY_MIN_BYTES:
        raise ValueError(
            f"a signing key's secret has at least {_KEY_MIN_BYTES} bytes; `deployment-receiver keygen` makes one"
        )
    return key_id, secret.encode()


def _signing_key(value: SecretStr) -> SecretStr:
    split_signing_key(value.get_secret_value())
    return value


def _several(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _absolute(value: Path) -> Path:
    return Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 - Path.resolve would follow links and touch the disk


SigningKey = Annotated[SecretStr, AfterValidator(_signing_key)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
_Several = BeforeValidator(_several)


def _together(value: Path | None, info: ValidationInfo, other: str) -> Path | None:
    if value is not None and info.data.get(other) is None:
        raise ValueError(f"needs {other} beside it")
    return value


class _Settings(BaseModel):
    """Read by name from a mapping and from the environment."""

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    env_prefix: ClassVar[str]
    env_names: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def env_name(cls, field: str) -> str:
        """Tell which environment variable holds a setting."""
        return cls.env_names.get(field, f"{cls.env_prefix}{field.upper()}")

    @classmethod
    def load(cls, values: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            values: Wins over the environment; None values and keys that are no settings are passed over.
            environ: The environment; `os.environ` if not given. Empty variables count as unset.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`, naming each wrong setting, never its value.
        """
        environ = os.environ if environ is None else environ
        found: dict[str, Any] = {
            field: text for field in cls.model_fields if (text := environ.get(cls.env_name(field), "").strip())
        }
        found |= {key: value for key, value in (values or {}).items() if value is not None}
        try:
            return cls(**found)
        except ValidationError as exc:
            raise validation_error("settings", exc) from exc


class DeploymentSenderSettings(_Settings):
    """The node's settings.

    Attributes:
        package_dir: The package store and the outbox live here; made when first needed.
        docker_host: As for `docker`: `unix://`, `tcp://` or `ssh://`; the local socket if not given.
        docker_tls_verify: Speak TLS to a `tcp://` engine and verify it.
        docker_cert_path: Folder of `ca.pem`, `cert.pem` and `key.pem` for that.
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
        transfer_attempts: Uploads tried before a transfer fails.
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
            "kafka_bootstrap_servers",
            "default_receiver_url",
        )
    }

    package_dir: AbsolutePath = Path("~/.local/share/deployment-sender")
    docker_host: str | None = None
    docker_tls_verify: bool = False
    docker_cert_path: Path | None = None
    kafka_bootstrap_servers: str | None = None
    default_receiver_url: ReceiverUrl | None = None
    allowed_receivers: Annotated[tuple[ReceiverPattern, ...], _Several] = ()
    ca_file: AbsolutePath | None = None
    client_cert: AbsolutePath | None = None
    client_key: AbsolutePath | None = None
    environment: str = "development"
    max_package_size_gb: float = Field(default=5, gt=0, allow_inf_nan=False)
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    verify_checksums: bool = True
    max_concurrent_transfers: int = Field(default=5, ge=1)
    transfer_attempts: int = Field(default=5, ge=1)
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
        return _together(value, info, "client_cert")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)


class ReceiverSettings(_Settings):
    """The reference receiver's settings.

    Attributes:
        host: Address to listen on; anything but loopback needs a signing key.
        port: TCP port; 0 takes a free one.
        tls_cert: Certificate in PEM form, with its chain; speak TLS only.
        tls_key: Its private key in PEM form, without a password; in `tls_cert` if not given.
        tls_client_ca: Certificates in PEM form; only senders with a certificate by one of them are let in.
        host_names: Its own names, each with or without a port; a request that was signed for another `Host` is refused.
            Any `Host` will do if not given.
        store: Folder for packages and deployments.
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

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65535)
    tls_cert: AbsolutePath | None = None
    tls_key: AbsolutePath | None = None
    tls_client_ca: AbsolutePath | None = None
    host_names: Annotated[tuple[HostName, ...], _Several] = ()
    store: AbsolutePath = Path("~/.local/share/deployment-receiver")
    run: bool = False
    signing_keys: Annotated[tuple[SigningKey, ...], _Several] = ()
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
        return _together(value, info, "tls_cert")

    @property
    def max_package_size_bytes(self) -> int:
        """The limit on a package file, in bytes."""
        return int(self.max_package_size_gb * BYTES_PER_GB)
