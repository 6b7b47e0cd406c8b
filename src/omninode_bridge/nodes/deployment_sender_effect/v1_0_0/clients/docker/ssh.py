"""A socket to an engine on another machine, through this machine's own `ssh` program (docs/adr/0013).

As docker's own client does it (github.com/docker/cli, cli/connhelper): `ssh HOST docker system dial-stdio`, whose
standard input and output are the connection. Host keys, jump hosts, ports, agents and shared connections come from the
user's ssh configuration.
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
from .sockets import BufferedSocket, EngineSocket

__all__ = ["open_ssh"]

# ssh never prompts, and forwards nothing else. It notices after three intervals of 30 s that the other side is gone, as
# on TCP (sockets.py), and not at the deadline of a build that prints nothing.
_OPTIONS = ("BatchMode=yes", "ClearAllForwardings=yes", "ServerAliveInterval=30")
_COMMAND = ("docker", "system", "dial-stdio")
_SSH_FAILED = 255  # ssh(1), EXIT STATUS
_NOT_FOUND = 127  # POSIX.1-2017, Shell Command Language, 2.8.2
# For ssh to exit once the connection is closed; it only has its exit code to return.
_EXIT_SECONDS = 2
# Of ssh's error output, in a message: the reason is in the last lines.
_ERROR_LINES = 5
_ERROR_CHARACTERS = 1000
# 64 KiB: the capacity of a pipe (pipe(7)).
_PIPE_BYTES = 64 << 10


def open_ssh(call: Call, address: SshAddress, seconds: float) -> EngineSocket:
    """Start `ssh`, without waiting for its login; the first request waits for that.

    Args:
        call: Aborts the program.
        address: Where the engine is.
        seconds: For ssh to connect to the machine.

    Raises:
        TunnelError: There is no `ssh` program.
    """
    ours, theirs = socket.socketpair()
    # Neither end blocks: a program that writes more than a pipe holds loses the rest, and goes on.
    error_reader, error_writer = os.pipe()
    tunnel = _Tunnel(address, error_reader)
    try:
        for end in (error_reader, error_writer):
            os.set_blocking(end, False)
        tunnel.start(call, _command(address, seconds), theirs, error_writer)
        connected = EngineSocket(BufferedSocket(fileno=ours.detach()), tunnel.explain)
        call.register(connected.sock)
    except BaseException:
        ours.close()
        tunnel.close()
        raise
    finally:
        theirs.close()
        os.close(error_writer)
    return connected


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
    """The running program, and its error output."""

    def __init__(self, address: SshAddress, error_reader: int) -> None:
        self._address = address
        self._error_reader = error_reader
        self._child: Child | None = None

    def start(self, call: Call, command: list[str], connection: socket.socket, error_writer: int) -> None:
        try:
            self._child = Child(command, stdin=connection, stdout=connection, stderr=error_writer)
        except OSError as exc:
            raise TunnelError(
                f"ssh:// needs the program ssh on this machine: {exc.strerror}",
                "Install OpenSSH's client (Debian: `apt-get install openssh-client`), or add ssh's folder to the PATH.",
            ) from exc
        call.register(self)

    def shutdown(self, _how: int = 0) -> None:
        if self._child is not None:
            self._child.shutdown()

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        with suppress(OSError):  # twice is safe
            os.close(self._error_reader)
            self._error_reader = -1

    def explain(self, exc: Exception) -> Exception:
        """Return an error with the program's exit and error output, if that is why the connection failed."""
        in_time = not isinstance(exc, TimeoutError)
        code = self._child.wait(_EXIT_SECONDS) if in_time and self._child is not None else None
        host, output = self._address.host, self._error_output()
        check = f"`{shlex.join(self._check_command())}`"
        if code == _SSH_FAILED or (output and not in_time):
            return TunnelError(f"ssh to {host}{output or ' failed'}", f"Make sure that {check} works without a prompt.")
        if code == _NOT_FOUND:
            advice = f"Install docker's command-line client there, so that {check} works."
            return TunnelError(f"there is no docker program on {host}{output}", advice)
        if code is not None and code > 0:
            what = f"`{shlex.join(_COMMAND)}` on {host}"
            return TunnelError(f"{what}{output or f' exited with code {code}'}", f"Make sure that {check} works.")
        return exc

    def _check_command(self) -> list[str]:
        user = f"{self._address.user}@" if self._address.user else ""
        port = ["-p", str(self._address.port)] if self._address.port else []
        return ["ssh", *port, f"{user}{self._address.host}", "docker", "version"]

    def _error_output(self) -> str:
        text = b""
        with suppress(OSError):  # it would block: there is no more
            while piece := os.read(self._error_reader, _PIPE_BYTES):
                text += piece
        lines = [strip_control_characters(line).strip() for line in LINE_BREAK.split(text.decode(errors="replace"))]
        last = " / ".join([line for line in lines if line][-_ERROR_LINES:])[-_ERROR_CHARACTERS:]
        return f": {last}" if last else ""
