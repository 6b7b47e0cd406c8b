"""One run of one command: its settings, its node, its signals and its exit code."""

import asyncio
import logging
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InvalidInputError
from ..node import NodeDeploymentSenderEffect
from ..ports import ContainerEngine
from ..resources import Openers
from ..settings import DeploymentSenderSettings
from .console import Console
from .failures import (
    FAILED,
    INTERRUPTED,
    SHOWN_ERRORS,
    SUCCESS,
    ShownError,
    exit_code,
    failed_output,
    public_code,
)
from .options import CommonOptions

__all__ = ["Session"]

_PACKAGE = __name__.partition(".")[0]
_SETTINGS = DeploymentSenderSettings.__module__.rpartition(".")[0]


class Session:
    """The context of one command.

    Args:
        options: Those given so far.
        openers: How the node opens its clients.

    Attributes:
        console: Prints as the options say.
        openers: As given.
    """

    def __init__(self, options: CommonOptions, openers: Openers | None = None) -> None:
        self._options = options
        self.openers = openers or Openers()
        self.console = Console(as_json=options.json, quiet=options.quiet, verbose=options.verbose)

    def with_options(self, options: CommonOptions) -> "Session":
        """Return a session that also has the options given after the command's name."""
        return Session(options.over(self._options), self.openers)

    @property
    def package_dir(self) -> Path | None:
        """The folder given as an option."""
        return self._options.package_dir

    def settings(self) -> DeploymentSenderSettings:
        """Read the settings, the same as `node` has.

        Raises:
            InvalidInputError: A setting is wrong.
        """
        return DeploymentSenderSettings.load({"package_dir": self.package_dir})

    def node(self, **settings: object) -> NodeDeploymentSenderEffect:
        """Make a node.

        Args:
            settings: Override options and environment.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR: a setting is wrong.
        """
        return NodeDeploymentSenderEffect({"package_dir": self.package_dir} | settings, openers=self.openers)

    async def open_engine(self) -> ContainerEngine:
        """Open the engine that the node would use; the caller closes it.

        Raises:
            EngineUnavailableError: It does not respond.
        """
        return await self.openers.engine(self.settings())

    def receiver_url(self, to: str | None) -> str:
        """Return the URL of the receiver: `to`, or the setting.

        Raises:
            InvalidInputError: There is neither.
        """
        url = to or self.settings().default_receiver_url
        if url is None:
            raise InvalidInputError(
                "no receiver is given",
                recovery="Give its address with --to http://HOST:8001, or set DEFAULT_RECEIVER_URL.",
            )
        return url

    def run(self, work: Callable[[], Awaitable[bool]]) -> int:
        """Run the command's work, and print the error that it raises.

        Args:
            work: Returns whether it succeeded.

        Returns:
            The exit code.
        """
        self._set_up_logging()
        try:
            with _settings_warnings(self.console):
                return SUCCESS if asyncio.run(_interruptible(work)) else FAILED
        except SHOWN_ERRORS as error:
            return self._show(error)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.console.error("interrupted")
            return INTERRUPTED
        except BrokenPipeError:  # the reader of stdout has closed it: typer then exits without a message
            raise
        except Exception as exc:  # noqa: BLE001 - the last handler: a person gets a sentence, not a traceback
            return self._show_unexpected(exc)

    def _show(self, error: ShownError) -> int:
        self.console.error(error.message, error.recovery, public_code(error))
        self.console.document(failed_output(error).model_dump(mode="json"))
        return exit_code(error)

    def _show_unexpected(self, exc: Exception) -> int:
        # The exception's own text may contain anything, such as a build argument's value.
        where = traceback.extract_tb(exc.__traceback__)[-1]
        self.console.error(
            f"unexpected error: {type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}",
            None if self.console.verbose else "Run it again with --verbose and report the traceback that it prints.",
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
    """Print each warning about the settings once, though a command may read them several times."""
    logger, handler = logging.getLogger(_SETTINGS), _OncePerMessage(console)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


class _OncePerMessage(logging.Handler):
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
