"""The command `deployment-sender`: one file per command, in `commands/`."""

import sys

__all__ = ["main"]

_FAILED, _INTERRUPTED = 1, 130  # as in failures.py, which may not be imported yet


def main() -> None:
    """Run the command line and exit.

    The exit codes: 0 success, 1 the operation failed, 2 the command line or its values are wrong, 130 interrupted.
    """
    try:
        from .app import run  # noqa: PLC0415 - typer and rich come with the extra `cli`, which may be missing
    except ModuleNotFoundError as exc:
        if exc.name not in {"rich", "typer"}:
            raise
        sys.stderr.write("deployment-sender needs its extra: pip install 'omninode-deployment-sender[cli]'\n")
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(run(sys.argv[1:]))
