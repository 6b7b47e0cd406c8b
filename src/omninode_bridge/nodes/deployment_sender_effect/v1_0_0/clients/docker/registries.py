"""Finds the registries that a Dockerfile uses. It skips instructions that it cannot parse; the engine reports those."""

import re
from collections.abc import Iterator, Mapping

from ...dockerfile.parser import Dockerfile
from ...models.reference import DEFAULT_DOMAIN, ImageReference

__all__ = ["DOCKER_HUB", "registries_in"]

# Where docker keeps the credentials of docker.io (github.com/moby/moby, registry/config.go, IndexServer).
DOCKER_HUB = "https://index.docker.io/v1/"

_ARGUMENT = re.compile(r"""([A-Za-z_]\w*)(?:=("[^"]*"|'[^']*'|\S*))?""", re.ASCII)
# distribution/reference: a host name or an address, and a port. A host name has 253 characters at most (RFC 1035).
_REGISTRY = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})", re.ASCII)


def registries_in(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> list[str]:
    """Return the registries of the images that a Dockerfile builds on or copies from, each once, in their order.

    Args:
        dockerfile: The one that is sent to the engine.
        build_args: Values for its `ARG`s.

    Returns:
        `HOST[:PORT]`, or `DOCKER_HUB`.
    """
    found = dict.fromkeys(_registry(image) for image in _images(dockerfile, build_args))
    return [registry for registry in found if registry == DOCKER_HUB or _REGISTRY.fullmatch(registry)]


def _images(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> Iterator[str]:
    values: dict[str, str] = {}
    stages: set[str] = {"scratch", ""}
    in_stage = False
    for instruction in dockerfile.instructions:
        if instruction.keyword == "ARG" and not in_stage:  # a later one is valid in its stage only, and in no FROM
            for argument, default in _ARGUMENT.findall(instruction.arguments):
                values[argument] = build_args.get(argument, _expand(default.strip("\"'"), values))
        elif instruction.keyword == "FROM":
            in_stage = True
            image, *more = instruction.arguments.split() or [""]
            image = _expand(image, values)
            if image.lower() not in stages:
                yield image
            stages.update(word.lower() for word in more[1:2])
        elif instruction.keyword == "COPY":
            for flag in instruction.flags:
                source = flag.removeprefix("--from=")
                if source != flag and not source.isdigit() and "$" not in source and source.lower() not in stages:
                    yield source


def _expand(text: str, values: Mapping[str, str]) -> str:
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
    domain = ImageReference.parse(image).domain
    return DOCKER_HUB if domain == DEFAULT_DOMAIN else domain
