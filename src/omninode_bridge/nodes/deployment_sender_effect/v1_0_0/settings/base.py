"""Reads settings from a mapping and from the environment; no other module reads `os.environ`."""

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

BYTES_PER_GB = 1_000_000_000  # decimal, as disks and networks are sold
_log = logging.getLogger(__name__)
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # fits into a header and a log line without quoting
_NO_HOME = "is in a home directory, but this user has none: give an absolute path, or set HOME"
_KEY_MIN_BYTES = 32  # RFC 2104 section 3: a key shorter than the hash's output weakens the HMAC

# Kubernetes sets these variables in each container if there is a service named deployment-receiver:
# kubernetes.io/docs/concepts/services-networking/service, "Environment variables".
_KUBERNETES_VARIABLE = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")


def split_signing_key(text: str) -> tuple[str, bytes]:
    """Split `ID:SECRET` into the key's id and the key's bytes.

    Raises:
        ValueError: The id is not 1 to 64 of `A-Z a-z 0-9 . _ -`, or the secret has less than 32 bytes.
    """
    key_id, _, secret = text.partition(":")
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError(
            "a signing key must be ID:SECRET; the ID has 1 to 64 letters, digits, dots, dashes or underscores"
        )
    if len(secret.encode()) < _KEY_MIN_BYTES:
        raise ValueError(
            f"the secret of a signing key must have at least {_KEY_MIN_BYTES} bytes;"
            " `deployment-receiver keygen` makes one"
        )
    return key_id, secret.encode()


def _signing_key(value: SecretStr) -> SecretStr:
    split_signing_key(value.get_secret_value())
    return value


def _several(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _absolute(value: Path) -> Path:
    if value.parts[:1] == ("~",) and os.environ.get("HOME") == "":  # `expanduser` would return the root folder
        raise ValueError(_NO_HOME)
    try:
        path = value.expanduser()
        # Not Path.resolve, which follows links and reads the disk.
        return Path(os.path.normpath(path if path.is_absolute() else Path.cwd() / path))
    except RuntimeError as exc:
        raise ValueError(_NO_HOME) from exc
    except OSError as exc:
        raise ValueError("is relative to the current folder, which was removed: give an absolute path") from exc


SigningKey = Annotated[SecretStr, AfterValidator(_signing_key)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Several = BeforeValidator(_several)


def together(value: Path | None, info: ValidationInfo, other: str) -> Path | None:
    """Check that a setting is given only together with another one.

    Raises:
        ValueError: The other one is missing.
    """
    if value is not None and info.data.get(other) is None:
        raise ValueError(f"needs {other} as well")
    return value


class Settings(BaseModel):
    """Settings that are read by name from a mapping and from the environment."""

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    env_prefix: ClassVar[str]
    env_names: ClassVar[Mapping[str, str]] = {}
    # Variables with the prefix that are not settings, because other programs read them.
    other_variables: ClassVar[frozenset[str]] = frozenset()
    # Whether an unknown variable with the prefix is an error; a warning otherwise.
    refuses_unknown_variables: ClassVar[bool] = False
    # This user's folders, for settings that are None; resolved only when needed, as the user may have no home.
    default_folders: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def env_name(cls, field: str) -> str:
        """Return the name of the environment variable of a setting."""
        return cls.env_names.get(field, f"{cls.env_prefix}{field.upper()}")

    @classmethod
    def load(cls, values: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings, and report unknown variables with the prefix.

        Args:
            values: Take precedence over the environment; values of None and unknown keys are ignored.
            environ: The environment; `os.environ` if not given. Empty variables count as unset.

        Raises:
            InvalidInputError: Settings are wrong; the message names each, never its value. The node's settings, which
                programs load as well, raise `DeploymentSenderError` with `VALIDATION_ERROR`.
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
            raise cls._error(validation_error("settings", exc)) from exc

    @classmethod
    def _error(cls, error: InvalidInputError) -> Exception:
        """Return the error that `load` raises."""
        return error

    @classmethod
    def _report_unknown(cls, environ: Mapping[str, str]) -> None:
        unknown = list(cls._unknown(environ))
        if unknown and cls.refuses_unknown_variables:
            advice = "Correct the name, or unset the variable: docs/configuration.md lists the settings."
            raise cls._error(InvalidInputError("; ".join(unknown), recovery=advice))
        for sentence in unknown:
            _log.warning("%s", sentence)

    @classmethod
    def _unknown(cls, environ: Mapping[str, str]) -> Iterator[str]:
        """Describe each unknown variable with the prefix, and the most similar setting; never its value."""
        fields = {field.upper(): cls.env_name(field) for field in cls.model_fields}
        for name in sorted(environ):
            prefix, rest = name[: len(cls.env_prefix)], name[len(cls.env_prefix) :]
            is_ours = prefix.upper() == cls.env_prefix and name not in {*fields.values(), *cls.other_variables}
            if is_ours and environ[name].strip() and not _KUBERNETES_VARIABLE.fullmatch(rest):
                near = difflib.get_close_matches(rest.upper(), fields, n=1)
                yield f"the environment variable {name} is not a setting" + (
                    f"; did you mean {fields[near[0]]}?" if near else ""
                )

    def _folder(self, field: str, *, recovery: str) -> Path:
        """Return a folder of this user.

        Raises:
            InvalidInputError: It is not set, and the user has no home directory for its default.
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
