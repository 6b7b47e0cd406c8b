"""Reads a settings model by name from a mapping and from the environment; the only reader of `os.environ`."""

import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping
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

from ..errors import InvalidInputError
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
_log = logging.getLogger(__name__)
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NO_HOME = "is in a home directory, and there is none: give the whole path, or set HOME"
_KEY_MIN_BYTES = 32  # RFC 2104 section 3: a key shorter than the hash's output weakens the HMAC

# What Kubernetes puts into each container's environment beside a service called deployment-receiver:
# kubernetes.io/docs/concepts/services-networking/service, "Environment variables".
_OF_A_SERVICE = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")


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
    if value.parts[:1] == ("~",) and os.environ.get("HOME") == "":  # it would be taken for the root folder
        raise ValueError(_NO_HOME)
    try:
        return Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 - Path.resolve follows links and touches the disk
    except RuntimeError as exc:
        raise ValueError(_NO_HOME) from exc
    except OSError as exc:
        raise ValueError("is relative to the current folder, which is gone: give the whole path") from exc


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
    # Variables of the prefix that are no settings, and are read by others.
    other_variables: ClassVar[frozenset[str]] = frozenset()
    # Whether a variable of the prefix that nobody reads is an error, or a warning.
    refuses_unknown_variables: ClassVar[bool] = False
    # Folders of this user's, for settings that are None: worked out where they are needed, as there may be no home.
    default_folders: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def env_name(cls, field: str) -> str:
        """Tell which environment variable holds a setting."""
        return cls.env_names.get(field, f"{cls.env_prefix}{field.upper()}")

    @classmethod
    def load(cls, values: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; a variable of the prefix that is no setting is reported.

        Args:
            values: Wins over the environment; None values and keys that are no settings are passed over.
            environ: The environment; `os.environ` if not given. Empty variables count as unset.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`, naming each wrong setting, never its value.
        """
        environ = os.environ if environ is None else environ
        cls._report_unknown(environ)
        found: dict[str, Any] = {
            field: text for field in cls.model_fields if (text := environ.get(cls.env_name(field), "").strip())
        }
        found |= {key: value for key, value in (values or {}).items() if value is not None}
        try:
            return cls(**found)
        except ValidationError as exc:
            raise validation_error("settings", exc) from exc

    @classmethod
    def _report_unknown(cls, environ: Mapping[str, str]) -> None:
        unknown = list(cls._unknown(environ))
        if unknown and cls.refuses_unknown_variables:
            raise InvalidInputError(
                "; ".join(unknown),
                recovery="Correct the name, or unset the variable: docs/configuration.md lists the settings.",
            )
        for sentence in unknown:
            _log.warning("%s", sentence)

    @classmethod
    def _unknown(cls, environ: Mapping[str, str]) -> Iterator[str]:
        """Say of each variable of the prefix that it is no setting, and which it may have meant; never its value."""
        fields = {field.upper(): cls.env_name(field) for field in cls.model_fields}
        for name in sorted(environ):
            prefix, rest = name[: len(cls.env_prefix)], name[len(cls.env_prefix) :]
            is_ours = prefix.upper() == cls.env_prefix and name not in {*fields.values(), *cls.other_variables}
            if is_ours and environ[name].strip() and not _OF_A_SERVICE.fullmatch(rest):
                near = difflib.get_close_matches(rest.upper(), fields, n=1)
                yield f"the environment variable {name} is no setting" + (f"; is it {fields[near[0]]}?" if near else "")

    def _folder(self, field: str, *, recovery: str) -> Path:
        """Return a folder of this user's.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: it is not set, and there is no home for its default.
        """
        given: Path | None = getattr(self, field)
        if given is not None:
            return given
        try:
            return _absolute(Path(self.default_folders[field]))
        except ValueError as exc:
            raise InvalidInputError(
                f"{field} is not set, and its default {self.default_folders[field]} is in a home directory, which this"
                " user does not have",
                recovery=recovery,
            ) from exc
