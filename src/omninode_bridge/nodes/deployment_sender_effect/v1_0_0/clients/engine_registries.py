"""Which registries a Dockerfile names.

Of a Dockerfile no more is read than that (docs.docker.com/reference/dockerfile): what cannot be understood names none,
and the engine says what is wrong with it.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..pipeline.references import normalized

__all__ = ["DOCKER_HUB", "read_dockerfile", "registries_in"]

_MAX_BYTES = 1 << 20

# The name by which docker keeps the credentials of docker.io (github.com/moby/moby, registry/config.go, IndexServer).
DOCKER_HUB = "https://index.docker.io/v1/"

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[A-Za-z]\w*\s*=.*")
_ARGUMENT = re.compile(r"""([A-Za-z_]\w*)(?:=("[^"]*"|'[^']*'|\S*))?""", re.ASCII)
# distribution/reference: a host name or an address, and a port. A host name has 253 characters at most (RFC 1035).
_REGISTRY = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})", re.ASCII)


def read_dockerfile(path: Path) -> str:
    """Read a Dockerfile's text; empty if it is no file, or cannot be read: packing the context says why."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - no FIFO holds us
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(_MAX_BYTES).decode("utf-8-sig", "replace") if is_file else ""
    except OSError:
        return ""


def registries_in(dockerfile: str, build_args: Mapping[str, str]) -> list[str]:
    """Return the registries of the images that a Dockerfile builds on or copies from, each once, in their order.

    Args:
        dockerfile: Its text.
        build_args: Values for its `ARG`s.

    Returns:
        `HOST[:PORT]`, or `DOCKER_HUB`.
    """
    found = dict.fromkeys(_registry(image) for image in _images(dockerfile, build_args))
    return [registry for registry in found if registry == DOCKER_HUB or _REGISTRY.fullmatch(registry)]


def _images(dockerfile: str, build_args: Mapping[str, str]) -> Iterator[str]:
    values: dict[str, str] = {}
    stages: set[str] = {"scratch", ""}
    begun = False
    for name, rest in _instructions(dockerfile):
        if name == "ARG" and not begun:  # a later one counts for its stage only, and in no FROM
            for argument, default in _ARGUMENT.findall(rest):
                values[argument] = build_args.get(argument, _expanded(default.strip("\"'"), values))
        elif name == "FROM":
            begun = True
            image, *more = [word for word in rest.split() if not word.startswith("--")] or [""]
            image = _expanded(image, values)
            if image.lower() not in stages:
                yield image
            stages.update(word.lower() for word in more[1:2])
        elif name == "COPY":
            for flag in rest.split():
                source = flag.removeprefix("--from=")
                if source != flag and not source.isdigit() and "$" not in source and source.lower() not in stages:
                    yield source


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Join the lines that belong together, and leave comments out."""
    escape, held = _escape(dockerfile), ""
    for line in dockerfile.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also in the middle of an instruction
        text = line.rstrip()
        if text.endswith(escape):
            held += text[:-1] + " "
            continue
        name, *rest = (held + text).split(None, 1)
        held = ""
        yield name.upper(), "".join(rest)


def _escape(dockerfile: str) -> str:
    for line in dockerfile.splitlines():
        if found := _ESCAPE.fullmatch(line.strip()):
            return found[1]
        if not _DIRECTIVE.fullmatch(line.strip()):
            break
    return "\\"


def _expanded(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        plain, braced, operator, other = found.groups()
        known = values.get(plain or braced)
        is_set = known is not None and (known != "" or not (operator or "").startswith(":"))
        if (operator or "").endswith("-"):
            return known if known is not None and is_set else other
        if (operator or "").endswith("+"):
            return other if is_set else ""
        return known or ""

    return _VARIABLE.sub(value, text)


def _registry(image: str) -> str:
    domain = normalized(image).partition("/")[0]
    return DOCKER_HUB if domain == "docker.io" else domain
