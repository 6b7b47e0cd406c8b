"""Finds what an engine's classic builder ignores without a message, misreads, or refuses in the middle of a build.

Read in github.com/moby/moby, builder/dockerfile (20.10.24 and 28.5.2), and tried on both. From 23.0 on the classic
builder uses BuildKit's parser, accepts all that the parser accepts, and does the part of it that it knows:

| in the Dockerfile | 20.10 | 28.5 |
|---|---|---|
| a here-document of `RUN`, or beside other sources of `COPY` and `ADD` | read as instructions | ignored |
| `COPY`/`ADD` with `--link`, `--exclude`; `ADD` with `--checksum` or `--unpack` | refused | ignored |
| `COPY`/`ADD --chmod`, `RUN --mount`, `--network` | refused at that step | the same |
| `COPY --parents`, `RUN --security`, `--device` | refused | the same |
| `ADD https://.../x.git` | the web page, as a file | the same |
| `# syntax=` of another language, `# check=error=true` | ignored | the same |
| `# escape=` behind `# check=` | ignored | read |
| `ARG TARGETARCH` and its kind | empty | the same |

Not found, because the text does not show it: a `RUN` that writes below a `VOLUME` of an earlier line, which the classic
builder discards and BuildKit keeps.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from .parser import Directive, Dockerfile, Instruction

__all__ = ["PLATFORM_ARGUMENTS", "Unsupported", "platform_arguments", "unsupported"]

PLATFORM_ARGUMENTS: Final = {
    f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
}
_PLATFORM_VARIABLE: Final = re.compile(r"\$\{?((?:BUILD|TARGET)(?:PLATFORM|OS|ARCH|VARIANT))\b", re.ASCII)

# Flags that the classic builder carries out; one that is too new for an engine is refused by it.
_CARRIED_OUT: Final = {
    "FROM": {"platform"},
    "COPY": {"chown", "from"},
    "ADD": {"chown"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}
_INSTEAD: Final = {
    "link": "remove it: the files are the same, unless the destination leads through a link",
    "chmod": "set the mode of the file in the context, or by a RUN chmod",
    "exclude": "name the files in .dockerignore, or copy the others by name",
    "parents": "write one COPY for each folder",
    "mount": "copy what it mounts, and remove that in the same RUN; never put a secret into an image's layers",
    "checksum": "check the file by a RUN sha256sum -c",
}
_REMOVE: Final = "remove it"
# github.com/moby/buildkit, dfgitutil: such an address of ADD is a repository to clone.
_REPOSITORY: Final = re.compile(r"https?://[^?#]*\.git(?:[?#].*)?|(?:git|ssh)://.*|[\w.-]+@[\w.-]+:.*", re.DOTALL)
_HEREDOC_IN_JSON: Final = re.compile(r"[0-9]*<<-?\s*[^<\s][^<]*", re.ASCII)
# The language that every builder reads; what is new in it is found where it is used.
_OWN_SYNTAX: Final = re.compile(r"(?:.*/)?docker/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?", re.ASCII)
_CHECK_FAILS: Final = re.compile(r"(?:.*;)?\s*error\s*=\s*(?:1|t|true)\s*(?:;.*)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unsupported:
    """One thing that the engine would not do.

    Attributes:
        line: Of the Dockerfile, counted from 1.
        feature: As it is written in the Dockerfile.
        instead: What to write instead.
    """

    line: int
    feature: str
    instead: str


def unsupported(dockerfile: Dockerfile, target: str | None = None) -> list[Unsupported]:
    """Return what the classic builder would not do as it is written, in the order of the lines.

    Args:
        dockerfile: To search.
        target: The stage to build; the stages after it are not built.
    """
    found = [*_in_directives(dockerfile.directives)]
    before_stages = takewhile(lambda one: one.keyword != "FROM", dockerfile.instructions)
    declared = {word.partition("=")[0] for one in before_stages if one.keyword == "ARG" for word in one.words()}
    for instruction in _up_to(dockerfile.instructions, target):
        found += _in_instruction(instruction)
        if instruction.keyword == "FROM":
            found += _in_from(instruction, declared)
    return found


def platform_arguments(dockerfile: Dockerfile) -> set[str]:
    """Return the platform arguments of this Dockerfile without a value, which BuildKit sets by itself."""
    return {
        word
        for instruction in dockerfile.instructions
        if instruction.keyword == "ARG"
        for word in instruction.words()
        if word in PLATFORM_ARGUMENTS
    }


def _up_to(instructions: tuple[Instruction, ...], target: str | None) -> Iterator[Instruction]:
    """Yield the instructions up to the end of the target's stage, which is named or counted from 0."""
    names = [_stage_name(one.words()) for one in instructions if one.keyword == "FROM"]
    last = len(names) - 1
    if target is not None and target.lower() in names:
        last = len(names) - 1 - names[::-1].index(target.lower())
    elif target is not None and target.isdecimal():
        last = int(target)
    for one in instructions:
        last -= one.keyword == "FROM"
        if last < -1:
            return
        yield one


def _stage_name(words: list[str]) -> str | None:
    match words:
        case [_, _, name]:  # FROM image AS name
            return name.lower()
    return None


def _in_from(one: Instruction, declared: set[str]) -> Iterator[Unsupported]:
    for text in (*one.flags, one.arguments):
        for match in _PLATFORM_VARIABLE.finditer(text):
            if match[1] not in declared:
                yield Unsupported(one.line, f"${match[1]} in FROM", f"write ARG {match[1]} before the first FROM")


def _in_directives(directives: tuple[Directive, ...]) -> Iterator[Unsupported]:
    checked = False
    for one in directives:
        written = f"# {one.name}={one.value}"
        if one.name == "syntax" and not _OWN_SYNTAX.fullmatch(one.value.strip().partition(" ")[0]):
            yield Unsupported(one.line, written, "write the file in the language of docker/dockerfile")
        if one.name == "check" and _CHECK_FAILS.fullmatch(one.value):
            yield Unsupported(one.line, written, "remove error=true, and check with `docker build --check`")
        if one.name == "escape" and checked and one.value != "\\":
            yield Unsupported(one.line, f"{written} behind # check=", "write # escape= first")
        checked = checked or one.name == "check"


def _in_instruction(one: Instruction) -> Iterator[Unsupported]:
    for flag in one.flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name not in _CARRIED_OUT.get(one.keyword, ()) and value.lower() != "false":
            yield Unsupported(one.line, f"{one.keyword} --{name}", _INSTEAD.get(name, _REMOVE))
    for name in one.heredocs:
        instead = "put the text into a file of the context" + (
            ", or write one command, with && and \\ at the ends of lines" if one.keyword == "RUN" else ""
        )
        yield Unsupported(one.line, f"{one.keyword} <<{name} (a here-document)", instead)
    if one.keyword in {"COPY", "ADD"} and not one.heredocs:
        for word in one.words()[:-1]:
            if _HEREDOC_IN_JSON.fullmatch(word):
                yield Unsupported(one.line, f"{one.keyword} {word} (a here-document)", "copy a file of the context")
    if one.keyword == "ADD":
        for address in one.words()[:-1]:
            if _REPOSITORY.fullmatch(address):
                yield Unsupported(one.line, "ADD of a git repository", "clone it into the context before the build")
