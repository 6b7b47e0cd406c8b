"""A page of the docs whose code blocks run in their order, as a reader would run them."""

import ast
import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest import SkipTest

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from sybil.typing import Parser

__all__ = ["Page"]

# In the place of the real command: `serve` returns once the receiver listens, as if it ran in another window.
_RECEIVER = """#!/bin/bash -eu
[ "${{1:-}}" = serve ] || exec {command} "$@"
log=$(mktemp -p {folder} receiver.XXXXXX)
{command} "$@" >"$log" 2>&1 </dev/null &
echo $! >>{folder}/receivers
until grep -q ^listening "$log"; do
  kill -0 $! || {{ cat "$log"; exit 1; }}
  sleep 0.02
done
grep ^listening "$log"
"""
_COMMANDS = ("deployment-sender", "deployment-receiver", "pip", "python")


class Page:
    """The code blocks of one page, which share a folder, a Python namespace and the shell's variables.

    A block that cannot run in a test stands behind `<!-- skip: next "REASON" -->` in the page.

    Args:
        path: The page.
        folder: Where the blocks run; each finds there what the last one has left.
        replacements: Patterns (`re`), and what runs in the place of what they match.
        environ: The shell's variables besides PATH and HOME.

    Attributes:
        namespace: The global names of the Python blocks.
        skipped: The reasons of the blocks that did not run.
    """

    def __init__(self, path: Path, folder: Path, replacements: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = dict(environ) | {"HOME": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        text = path.read_text()
        for pattern, replacement in replacements.items():
            text = re.sub(pattern, replacement, text)
        self._document = Document(text, str(path))
        self._runner = asyncio.Runner()
        self.namespace = self._document.namespace
        self.skipped: list[str] = []

    def __enter__(self) -> Self:
        commands = self._folder / "bin"
        commands.mkdir()
        for name in _COMMANDS:
            (commands / name).symlink_to(Path(sys.executable).with_name(name))
        receiver = commands / "deployment-receiver"
        command = receiver.readlink()
        receiver.unlink()
        receiver.write_text(_RECEIVER.format(command=command, folder=self._folder))
        receiver.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (node := self.namespace.get("node")) is not None:
            self._runner.run(node.cleanup())
        self._runner.close()
        with suppress(FileNotFoundError):
            for pid in (self._folder / "receivers").read_text().split():
                os.kill(int(pid), signal.SIGTERM)

    def run(self) -> None:
        """Run every block; the first that fails ends the page."""
        evaluators = {"python": self._python, "sh": self._sh, "console": self._console}
        parsers: list[Parser] = [SkipParser()]
        parsers += [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
        for parser in parsers:
            for region in parser(self._document):
                self._document.add(region)
        for example in self._document:
            try:
                example.evaluate()
            except SkipTest as reason:
                self.skipped.append(str(reason))

    def _python(self, example: Example) -> None:
        lines = "\n" * example.line  # so that a traceback names the page's line
        code = compile(lines + example.parsed, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        awaitable = eval(code, self.namespace)
        if awaitable is not None:
            self._runner.run(awaitable)
        if "result" in self.namespace:
            assert self.namespace["result"].success, self.namespace["result"]

    def _sh(self, example: Example) -> None:
        done = self._shell("set -e\n" + example.parsed)
        assert 0 == done.returncode, f"line {example.line}: {done.stdout}"

    def _console(self, example: Example) -> None:
        """Run what stands behind each `$ `; its output has the lines that the page shows, in this order."""
        for session in re.split(r"^\$ ", str(example.parsed), flags=re.MULTILINE)[1:]:
            command, *expected = session.splitlines()
            printed = self._shell(command.removesuffix(" &")).stdout
            remaining = iter([_labels(line) for line in printed.splitlines()])
            assert [] == [line for line in expected if _labels(line) not in remaining], printed

    def _shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        variables = self._folder / "variables"
        variables.touch()
        # What a block exports, the next one has.
        script = f". {variables}\ntrap 'export -p >{variables}' EXIT\n{script}"
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def _labels(line: str) -> list[str]:
    """Return what a line of a table begins with, or all of another line: figures and ids are others in each run."""
    columns = re.split(r" {2,}", line)
    return columns[:-1] or columns
