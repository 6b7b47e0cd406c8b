"""Options that several commands share; each dataclass is a group of them (see command.py)."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInputError
from ..models import ModelContainerPackageInput, ModelPackageTransferInput

__all__ = [
    "BuildOptions",
    "CommonOptions",
    "ContextFolder",
    "CorrelationId",
    "PackageId",
    "ReceiverUrl",
    "TransferOptions",
    "parse_pairs",
]

ContextFolder = Annotated[
    str,
    typer.Argument(
        metavar="CONTEXT", show_default=False, help="Folder with the Dockerfile and the files that it copies."
    ),
]
CorrelationId = Annotated[
    str | None, typer.Option("--correlation-id", metavar="ID", help="Your own id, repeated in results and events.")
]
PackageId = Annotated[
    str, typer.Argument(metavar="PACKAGE_ID", show_default=False, help="As `deployment-sender packages` lists it.")
]
ReceiverUrl = Annotated[
    str | None,
    typer.Option("--to", metavar="URL", help="The receiver, http(s)://HOST[:PORT]. [env: DEFAULT_RECEIVER_URL]"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonOptions:
    """Options of every command, given before its name or after it."""

    package_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the packages and the outbox. [env: PACKAGE_DIR]")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr, only errors.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", help="Build log, log lines and tracebacks on stderr.")] = False

    def over(self, outer: "CommonOptions") -> "CommonOptions":
        """Return these, given after the command's name, together with those given before it.

        Raises:
            typer.BadParameter: An option with one value was given in both places.
        """
        if self.package_dir is not None and outer.package_dir is not None:
            raise typer.BadParameter("--package-dir is given before the command and after it; give it once.")
        return CommonOptions(
            package_dir=self.package_dir or outer.package_dir,
            json=self.json or outer.json,
            quiet=self.quiet or outer.quiet,
            verbose=self.verbose or outer.verbose,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How to build an image and store it as a package."""

    name: Annotated[str, typer.Option(metavar="NAME", show_default=False, help="Name of the image, without the tag.")]
    tag: Annotated[str, typer.Option(metavar="TAG", show_default=False, help="Tag of the image.")]
    dockerfile: Annotated[str, typer.Option(metavar="FILE", help="The Dockerfile, relative to CONTEXT.")] = "Dockerfile"
    build_arg: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[=VALUE]", help="Build argument; with NAME alone, its value is read from the environment."
        ),
    ] = field(default_factory=list)
    target: Annotated[str | None, typer.Option(metavar="STAGE", help="Stage to build instead of the last one.")] = None
    platform: Annotated[str | None, typer.Option(metavar="OS/ARCH", help="Platform to build for.")] = None
    label: Annotated[list[str], typer.Option(metavar="NAME=VALUE", help="Label to add to the image.")] = field(
        default_factory=list
    )
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step again, without the build cache.")] = False
    compression: Annotated[
        str | None,
        typer.Option(metavar="gzip|zstd|none", help="Compression of the package. [env: DEPLOYMENT_SENDER_COMPRESSION]"),
    ] = None
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Whether transfers check the checksum. [env: DEPLOYMENT_SENDER_VERIFY_CHECKSUMS]",
        ),
    ] = None

    def request(self, context: str, correlation_id: str | None = None) -> ModelContainerPackageInput:
        """Make the operation's input from the options.

        Raises:
            InvalidInputError: An option is wrong; the message never has a build argument's value.
        """
        return ModelContainerPackageInput.read(
            {
                "container_name": self.name,
                "image_tag": self.tag,
                "build_context": context,
                "dockerfile_path": self.dockerfile,
                "build_args": parse_pairs("--build-arg", self.build_arg, os.environ),
                "target": self.target,
                "platform": self.platform,
                "labels": parse_pairs("--label", self.label),
                "no_cache": self.no_cache,
                "compression": self.compression,
                "verify_checksum": self.verify,
                "correlation_id": correlation_id,
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferOptions:
    """Where to send a package and what to wait for."""

    to: ReceiverUrl = None
    wait_for: Annotated[
        str | None,
        typer.Option(
            metavar="received|loaded|running",
            help="The status to wait for; if not given, running, or loaded if the receiver starts no containers.",
        ),
    ] = None
    any_platform: Annotated[
        bool, typer.Option("--any-platform", help="Send it even if the receiver's engine cannot run its platform.")
    ] = False
    transfer_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time limit of all attempts together. [env: DEPLOYMENT_SENDER_TRANSFER_TIMEOUT_SECONDS]",
        ),
    ] = None

    def request(
        self, package_id: str, url: str, *, verify: bool | None = None, correlation_id: str | None = None
    ) -> ModelPackageTransferInput:
        """Make the operation's input from the options; `url` is the receiver's.

        Raises:
            InvalidInputError: An option is wrong.
        """
        return ModelPackageTransferInput.read(
            {
                "package_id": package_id,
                "remote_receiver_url": url,
                "verify_checksum": verify,
                "wait_for": self.wait_for,
                "any_platform": self.any_platform,
                "transfer_timeout_seconds": self.transfer_timeout,
                "correlation_id": correlation_id,
            }
        )


def parse_pairs(option: str, texts: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Parse texts such as `NAME=VALUE`.

    Args:
        option: Their option, for error messages.
        texts: As given on the command line.
        environ: Has the value of a `NAME` without one; if it is None, each must have a value.

    Raises:
        InvalidInputError: One has no name or no value; the message never has a value.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and environ is not None:
            if name not in environ:
                raise InvalidInputError(f"{option} {name}: no value is given, and the environment has none")
            value = environ[name]
        elif not name or not equals:
            raise InvalidInputError(f"{option} needs {'NAME=VALUE' if environ is None else 'NAME=VALUE or NAME'}")
        found[name] = value
    return found
