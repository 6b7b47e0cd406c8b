"""The command `deployment-receiver`; `python -m ...receiver` is the same."""

import argparse
import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from ..errors import InvalidInputError, OperationError
from ..settings import ReceiverSettings

__all__ = ["main"]

_FAILED = 1
_MISUSED = 2
_EXTRA = {"httptools", "python_multipart", "starlette", "uvicorn"}
_KEY_BYTES = 32  # as long as the HMAC's hash


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line's arguments; those of the process if not given.

    Returns:
        The exit code: 0 after SIGTERM or SIGINT, 1 if it could not serve, 2 if its arguments or settings are wrong.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.command == "keygen":
        _print(f"{secrets.token_hex(4)}:{secrets.token_urlsafe(_KEY_BYTES)}")
        return 0
    try:
        asyncio.run(_serve(ReceiverSettings.load(_values(chosen))))
    except OperationError as exc:
        end = "" if exc.message.endswith((".", "?")) else "."
        _print_error(f"{exc.message}{end} {exc.recovery}")
        return _MISUSED if isinstance(exc, InvalidInputError) else _FAILED
    except ModuleNotFoundError as exc:
        if exc.name not in _EXTRA:
            raise
        _print_error(f"{exc.name} is not installed; pip install omninode-deployment-sender[receiver]")
        return _FAILED
    return 0


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()  # also into a pipe, where another program waits for the line


def _print_error(text: str) -> None:
    sys.stderr.write(f"deployment-receiver: {text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deployment-receiver",
        description="Receive container images over HTTP, verify and store them, load them and run them.",
    )
    parser.add_argument("--version", action="version", version=version("omninode-deployment-sender"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the receiver",
        description="Run the receiver. Options that are not given are read from DEPLOYMENT_RECEIVER_HOST, ..._PORT and"
        " so on; the accepted keys from DEPLOYMENT_RECEIVER_SIGNING_KEYS, the engine from DOCKER_HOST.",
    )
    serve.register("action", None, _Once)
    _add_settings(serve)
    commands.add_parser("keygen", help="print a fresh signing key", description="Print a fresh signing key, ID:SECRET.")
    return parser


def _add_settings(serve: argparse.ArgumentParser) -> None:
    default = ReceiverSettings.load(environ={})
    serve.add_argument("--host", help=f"address to listen on; beyond loopback only with keys ({default.host})")
    serve.add_argument("--port", type=int, help=f"TCP port, 0 for a free one ({default.port})")
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate in PEM form: speak TLS")
    serve.add_argument(
        "--tls-key", type=Path, metavar="FILE", help="its private key; in the certificate's file if left out"
    )
    serve.add_argument(
        "--tls-client-ca", type=Path, metavar="FILE", help="accept only senders with a certificate by one of these CAs"
    )
    serve.add_argument(
        "--host-name",
        action="append",
        dest="host_names",
        metavar="NAME",
        help="a host name of this receiver, NAME or NAME:PORT; requests for another are refused; may be repeated",
    )
    serve.add_argument(
        "--public-url",
        metavar="URL",
        help="this receiver's URL as senders write it, where a proxy changes the Host or the path",
    )
    store = default.default_folders["store"]
    serve.add_argument("--store", type=Path, metavar="DIR", help=f"folder for packages ({store})")
    serve.add_argument("--run", action="store_const", const=True, help="start the container of each image")
    serve.add_argument(
        "--max-package-size-gb",
        type=float,
        metavar="GB",
        help=f"limit on a package, in GB of 1,000,000,000 bytes ({default.max_package_size_gb:g})",
    )


class _Once(argparse.Action):
    """Stores an option's value, and fails if it is given twice; argparse would silently keep the last."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} is given twice; give it once")
        setattr(namespace, self.dest, values)


def _values(chosen: argparse.Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(chosen).items() if name != "command"}


async def _serve(settings: ReceiverSettings) -> None:
    from .server import serving  # noqa: PLC0415 - main reports which extra is missing

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _plain_log():
        async with serving(settings) as url:
            _print(f"listening on {url}")
            await stop.wait()
            _print("stopping")


@contextmanager
def _plain_log() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ours = logging.getLogger(__package__)
    ours.setLevel(logging.INFO)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)


if __name__ == "__main__":
    sys.exit(main())
