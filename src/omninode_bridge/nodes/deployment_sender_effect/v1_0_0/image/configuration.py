"""Checks the configuration of an image for values that engines cannot read.

The engine gets it byte for byte, by its SHA-256. Docker refuses one that has a field of another type; podman 4.3 keeps
it, and from then on cannot list its images at all. The types are those of github.com/moby/moby (image/image.go,
`V1Image` and `Image`), github.com/containers/image (manifest/docker_schema2.go, `Schema2Image`) and OCI image-spec 1.1,
config.md. Go matches keys without regard to case, and passes over those that it does not know.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from .errors import ArchiveError

__all__ = ["check_configuration"]

# For any other, Docker 20.10 breaks off the request. It refuses windows with its own message, and reads none as linux.
_SYSTEMS = {"linux", "windows", ""}
# Called with a value that is not null, and the path to it for messages.
_Check: TypeAlias = Callable[[Any, str], None]

# RFC 3339 section 5.6, as Go's time.Time reads it.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)


def check_configuration(document: Any) -> None:
    """Check a configuration.

    Args:
        document: Its parsed JSON.

    Raises:
        ArchiveError: A field is not of its type, or there are two that differ in case only.
    """
    _IMAGE(document, "the configuration")


def _is_a(kind: type, name: str) -> _Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise ArchiveError(f"{where} is not {name}")

    return check


def _int64(value: Any, where: str) -> None:
    _NUMBER(value, where)
    if not -(1 << 63) <= value < 1 << 63:
        raise ArchiveError(f"{where} is too large")


def _time(value: Any, where: str) -> None:
    _TEXT(value, where)
    parts = _TIME.fullmatch(value)
    try:
        datetime.strptime(f"{parts and parts[1]}+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        raise ArchiveError(f"{where} is not a time") from None


def _os(value: Any, where: str) -> None:
    _TEXT(value, where)
    if value not in _SYSTEMS:
        raise ArchiveError(f"{where} is {value[:40]!r}, and engines load images for linux")


def _each(check: _Check) -> _Check:
    def check_all(value: Any, where: str) -> None:
        _LIST(value, where)
        for one in value:
            _unless_null(check, one, f"an entry of {where}")

    return check_all


def _mapping(check: _Check) -> _Check:
    def check_all(value: Any, where: str) -> None:
        _OBJECT(value, where)
        for one in value.values():
            _unless_null(check, one, f"an entry of {where}")

    return check_all


def _object(fields: Mapping[str, _Check]) -> _Check:
    folded = {key.casefold(): check for key, check in fields.items()}

    def check_all(value: Any, where: str) -> None:
        _OBJECT(value, where)
        seen: set[str] = set()
        for key, one in value.items():
            check = folded.get(key.casefold())
            if check is None:
                continue
            if key.casefold() in seen:
                raise ArchiveError(f"{where} spells {key!r} in two ways")
            seen.add(key.casefold())
            _unless_null(check, one, f"{key!r} in {where}")

    return check_all


def _unless_null(check: _Check, value: Any, where: str) -> None:
    if value is not None:
        check(value, where)


_TEXT, _NUMBER, _SWITCH = _is_a(str, "a text"), _is_a(int, "a whole number"), _is_a(bool, "true or false")
_LIST, _OBJECT = _is_a(list, "a list"), _is_a(dict, "an object")
_TEXTS = _each(_TEXT)
_CONTAINER = _object(
    dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir", "MacAddress", "StopSignal"), _TEXT)
    | dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), _SWITCH)
    | dict.fromkeys(("NetworkDisabled", "ArgsEscaped"), _SWITCH)
    | dict.fromkeys(("Env", "Cmd", "Entrypoint", "OnBuild", "Shell"), _TEXTS)
    | dict.fromkeys(("ExposedPorts", "Volumes"), _mapping(_OBJECT))
    | {"Labels": _mapping(_TEXT), "StopTimeout": _int64}
    | {
        "Healthcheck": _object(
            dict.fromkeys(("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"), _int64) | {"Test": _TEXTS}
        )
    }
)
_HISTORY = _object(
    dict.fromkeys(("author", "created_by", "comment"), _TEXT) | {"created": _time, "empty_layer": _SWITCH}
)
_IMAGE = _object(
    dict.fromkeys(("id", "parent", "comment", "container", "docker_version", "author", "architecture"), _TEXT)
    | dict.fromkeys(("variant", "os.version"), _TEXT)
    | {"os": _os, "os.features": _TEXTS, "created": _time, "Size": _int64, "history": _each(_HISTORY)}
    | {"config": _CONTAINER, "container_config": _CONTAINER, "rootfs": _object({"type": _TEXT, "diff_ids": _TEXTS})}
)
