"""A socket to an engine on another machine, through this machine's own `ssh` program (docs/adr/0013).

As docker's own client does it (github.com/docker/cli, cli/connhelper): `ssh HOST docker system dial-stdio`, whose
standard input and output are the connection. Host keys, jump hosts, ports, agents and shared connections are what the
user's ssh configuration says.
"""

import math
import os
import shlex
import socket
from contextlib import suppress

from .call import Call
from .child import Child
from .endpoint import SshAddress
from .errors import TunnelError
from .redact import LINE_BREAK, strip_control_characters
from .sockets import Link, WideSocket

__all__ = ["open_ssh"]

# It never asks a question; the connection is for the engine alone; a peer that is gone is noticed after three times
# that, as on TCP (engine_sockets.py), and not at the deadline of a build that prints nothing.
_OPTIONS = ("BatchMode=yes", "ClearAllForwardings=yes", "ServerAliveInterval=30")
_COMMAND = ("docker", "system", "dial-stdio")
_SSH_FAILED = 255  # ssh(1), EXIT STATUS
_NOT_FOUND = 127  # POSIX.1-2017, Shell Command Language, 2.8.2
# Once the connection is closed the program has nothing more to do than to end.
_END_SECONDS = 2
_WORDS_LINES = 5
_WORDS_CHARACTERS = 1000
_PIPE_BYTES = 65536


def open_ssh(call: Call, address: SshAddress, seconds: float) -> Link:
    """Start `ssh`; logging in goes on while the first request is sent.

    Args:
        call: Ends the program.
        address: Where the engine is.
        seconds: For the machine to let us connect.

    Raises:
        TunnelError: There is no `ssh` program.
    """
    ours, theirs = socket.socketpair()
    # Neither side waits at it: a program that says more than a pipe holds loses the rest, and goes on.
    words, standard_error = os.pipe()
    tunnel = _Tunnel(address, words)
    try:
        for end in (words, standard_error):
            os.set_blocking(end, False)
        tunnel.start(call, _command(address, seconds), theirs, standard_error)
        link = Link(WideSocket(fileno=ours.detach()), tunnel.failure)
        call.adopt(link.sock)
    except BaseException:
        ours.close()
        tunnel.close()
        raise
    finally:
        theirs.close()
        os.close(standard_error)
    return link


def _command(address: SshAddress, seconds: float) -> list[str]:
    options = [*_OPTIONS, f"ConnectTimeout={math.ceil(seconds)}"]
    command = ["ssh", "-T", "-a", "-x", *(word for option in options for word in ("-o", option))]
    if address.user is not None:
        command += ["-l", address.user]
    if address.port is not None:
        command += ["-p", str(address.port)]
    docker, *rest = _COMMAND
    if address.socket_path is not None:
        rest = ["--host", shlex.quote(f"unix://{address.socket_path}"), *rest]
    return [*command, "--", address.host, docker, *rest]


class _Tunnel:
    """The running program, and what it has said on its standard error."""

    def __init__(self, address: SshAddress, words: int) -> None:
        self._address = address
        self._words = words
        self._child: Child | None = None

    def start(self, call: Call, command: list[str], connection: socket.socket, standard_error: int) -> None:
        try:
            self._child = Child(command, stdin=connection, stdout=connection, stderr=standard_error)
        except OSError as exc:
            raise TunnelError(
                f"ssh:// needs the program ssh on this machine: {exc.strerror}",
                "Install OpenSSH's client (Debian: `apt-get install openssh-client`), or see that ssh is on the PATH.",
            ) from exc
        call.adopt(self)

    def shutdown(self, _how: int = 0) -> None:
        if self._child is not None:
            self._child.shutdown()

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        with suppress(OSError):  # twice is safe
            os.close(self._words)
            self._words = -1

    def failure(self, exc: Exception) -> Exception:
        """Say what became of the program, if that is why the connection has failed."""
        in_time = not isinstance(exc, TimeoutError)
        code = self._child.ended(_END_SECONDS) if in_time and self._child is not None else None
        host, said = self._address.host, self._last_words()
        by_hand = f"`{shlex.join(self._by_hand())}`"
        if code == _SSH_FAILED or (said and not in_time):
            return TunnelError(f"ssh to {host}{said or ' failed'}", f"See that {by_hand} succeeds without a question.")
        if code == _NOT_FOUND:
            advice = f"Install docker's command-line client there, so that {by_hand} succeeds."
            return TunnelError(f"there is no docker program on {host}{said}", advice)
        if code is not None and code > 0:
            what = f"`{shlex.join(_COMMAND)}` on {host}"
            return TunnelError(f"{what}{said or f' ended with exit code {code}'}", f"See that {by_hand} succeeds.")
        return exc

    def _by_hand(self) -> list[str]:
        user = f"{self._address.user}@" if self._address.user else ""
        port = ["-p", str(self._address.port)] if self._address.port else []
        return ["ssh", *port, f"{user}{self._address.host}", "docker", "version"]

    def _last_words(self) -> str:
        text = b""
        with suppress(OSError):  # it would block: that is all
            while piece := os.read(self._words, _PIPE_BYTES):
                text += piece
        lines = [strip_control_characters(line).strip() for line in LINE_BREAK.split(text.decode(errors="replace"))]
        last = " / ".join([line for line in lines if line][-_WORDS_LINES:])[-_WORDS_CHARACTERS:]
        return f": {last}" if last else ""
