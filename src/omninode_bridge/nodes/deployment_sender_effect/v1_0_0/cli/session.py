"""One run of one command: its settings, its node, its signals and its exit code."""

import asyncio
import logging
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode
from ..handlers.outcome import failure
from ..models import OutputModel
from ..node import NodeDeploymentSenderEffect
from ..ports import ContainerEngine
from ..resources import Openers
from ..settings import DeploymentSenderSettings
from .console import Console
from .options import CommonOptions

__all__ = ["FAILED", "INTERRUPTED", "SUCCESS", "USAGE", "Session"]

SUCCESS = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130  # what a shell answers for a command that Ctrl-C ended: 128 + SIGINT

_PACKAGE = __name__.partition(".")[0]
_SETTINGS = DeploymentSenderSettings.__module__.rpartition(".")[0]


class Session:
    """What a command works with.

    Args:
        options: As given so far.
        openers: How the node opens its clients.

    Attributes:
        console: Prints as the options say.
        openers: As given.
    """

    def __init__(self, options: CommonOptions, openers: Openers | None = None) -> None:
        self._options = options
        self.openers = openers or Openers()
        self.console = Console(as_json=options.json, quiet=options.quiet, verbose=options.verbose)

    def narrowed(self, options: CommonOptions) -> "Session":
        """Add the options that were given after the command's name."""
        return Session(options.over(self._options), self.openers)

    @property
    def package_dir(self) -> Path | None:
        """The folder that was given as an option."""
        return self._options.package_dir

    def settings(self) -> DeploymentSenderSettings:
        """Read the settings that `node` has, too. VALIDATION_ERROR."""
        return DeploymentSenderSettings.load({"package_dir": self.package_dir})

    def node(self, **settings: object) -> NodeDeploymentSenderEffect:
        """Make a node; `settings` win over options and environment. VALIDATION_ERROR."""
        return NodeDeploymentSenderEffect({"package_dir": self.package_dir} | settings, openers=self.openers)

    async def open_engine(self) -> ContainerEngine:
        """Open the engine that the node would use; close it yourself. DOCKER_UNAVAILABLE."""
        return await self.openers.engine(self.settings())

    def receiver(self, to: str | None) -> str:
        """Tell where packages go: `to`, or the setting. VALIDATION_ERROR where there is neither."""
        url = to or self.settings().default_receiver_url
        if url is None:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                "there is no receiver to send to",
                recovery="Give its address with --to http://HOST:8001, or set DEFAULT_RECEIVER_URL.",
            )
        return url

    def run(self, work: Callable[[], Awaitable[bool]]) -> int:
        """Do the command's work.

        Args:
            work: Answers whether it succeeded.

        Returns:
            The exit code.
        """
        self._set_up_logging()
        try:
            with _settings_warnings(self.console):
                return SUCCESS if asyncio.run(_interruptible(work)) else FAILED
        except DeploymentSenderError as error:
            return self._failed(error)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.console.error("interrupted")
            return INTERRUPTED
        except BrokenPipeError:  # the reader of stdout has gone; typer knows how to leave then
            raise
        except Exception as exc:  # noqa: BLE001 - the last catch: a person gets a sentence, not a traceback
            return self._unexpected(exc)

    def _failed(self, error: DeploymentSenderError) -> int:
        self.console.error(error.message, error.recovery, error.code)
        self.console.document(OutputModel(**failure(error)).model_dump(mode="json"))
        return USAGE if error.code is ErrorCode.VALIDATION_ERROR else FAILED

    def _unexpected(self, exc: Exception) -> int:
        # The exception's own text may hold anything, a build argument's value for one.
        where = traceback.extract_tb(exc.__traceback__)[-1]
        self.console.error(
            f"something unexpected happened: {type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}",
            None if self.console.verbose else "Run again with --verbose and report the traceback that it shows.",
        )
        if self.console.verbose:
            traceback.print_exception(exc, file=sys.stderr)
        return FAILED

    def _set_up_logging(self) -> None:
        if self.console.verbose:
            logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
            logging.getLogger(_PACKAGE).setLevel(logging.INFO)
        else:  # without any handler, Python would print warnings to stderr
            logging.basicConfig(handlers=[logging.NullHandler()])


@contextmanager
def _settings_warnings(console: Console) -> Iterator[None]:
    """Print what the settings warn of, once, though a command may read them several times."""
    logger, handler = logging.getLogger(_SETTINGS), _Once(console)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


class _Once(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if (message := record.getMessage()) not in self._printed:
            self._printed.add(message)
            self._console.note(f"warning: {message}")


async def _interruptible(work: Callable[[], Awaitable[bool]]) -> bool:
    """Cancel the work on Ctrl-C and on SIGTERM, so that it can clean up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await work()
