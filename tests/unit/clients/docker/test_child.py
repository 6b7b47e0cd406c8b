"""Programs that end with the call that they were started for."""

import os
import subprocess

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.child import Child
from support.process.processes import until_group_ends


def _shell(script: str, first: str = ":") -> tuple[Child, int]:
    """Start a script; return it, and its group once it has begun."""
    reading, writing = os.pipe()
    child = Child(["sh", "-c", f"{first}; echo $$; {script}"], stdout=writing, stdin=subprocess.DEVNULL)
    os.close(writing)
    with open(reading) as said:  # noqa: PTH123
        return child, int(said.readline())


def test_its_end_is_its_exit_code() -> None:
    """Negative for a signal, as `subprocess` has it."""
    ends = [_shell(script)[0].wait(10) for script in ("exit 7", "kill -KILL $$")]

    assert [7, -9] == ends


def test_a_program_that_runs_has_no_exit_code() -> None:
    """The call waits no longer than its argument says."""
    child, _ = _shell("sleep 600")

    assert (None, -15) == (child.wait(0.01), _closed(child))


def test_programs_that_it_started_end_with_it() -> None:
    """They share a session of their own."""
    child, group = _shell("sleep 600 & wait")
    _closed(child)

    until_group_ends(group)


def test_a_program_that_ignores_sigterm_is_killed() -> None:
    """After a moment."""
    child, _ = _shell("while :; do sleep 600; done", "trap '' TERM")

    assert -9 == _closed(child)


def test_closing_twice_is_safe() -> None:
    """Also when it has ended by itself."""
    child, _ = _shell("exit 3")
    child.wait(10)

    assert [3, 3] == [_closed(child), _closed(child)]


def _closed(child: Child) -> int | None:
    child.close()
    return child.wait(0)
