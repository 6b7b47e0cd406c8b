"""The command `deployment-sender`: one file per command."""

import sys

__all__ = ["main"]

INTERRUPTED = 130  # what a shell answers for a command that Ctrl-C ended: 128 + SIGINT


def main() -> None:
    """Run the command line and leave with its exit code.

    The codes: 0 success, 1 the operation failed, 2 the command line or its values are wrong, 130 interrupted.
    """
    try:
        from .app import run  # noqa: PLC0415 - typer and rich come with the extra `cli`, which may be missing
    except ModuleNotFoundError as exc:
        if exc.name not in {"rich", "typer"}:
            raise
        sys.stderr.write("deployment-sender needs its extra: pip install 'omninode-deployment-sender[cli]'\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(run(sys.argv[1:]))
