"""Reads a settings model by name from a mapping and from the environment; the only reader of `os.environ`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from ..models import validation_error

__all__ = [
    "BYTES_PER_GB",
    "AbsolutePath",
    "Seconds",
    "Settings",
    "Several",
    "SigningKey",
    "split_signing_key",
    "together",
]

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
Several = BeforeValidator(_several)


def together(value: Path | None, info: ValidationInfo, other: str) -> Path | None:
    """Insist that a setting is given only beside another one.

    Raises:
        ValueError: The other one is missing.
    """
    if value is not None and info.data.get(other) is None:
        raise ValueError(f"needs {other} beside it")
    return value


class Settings(BaseModel):
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
