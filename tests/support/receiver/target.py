"""A receiver as a process for others to attack, and what that does to it."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import read_samples
from support.eventually import eventually_sync
from support.http.wire import Reply, ask, request
from support.receiver.process import ReceiverProcess

__all__ = ["Target"]

_GROWTH_MAX_BYTES = 128 << 20  # 128 MiB; Python 3.12 frees memory later than 3.11, and came to 106 MiB


class Target:
    """A receiver within a `with` block, with an engine that accepts connections and never responds.

    Args:
        store: Its store; kept.
        arguments: Further arguments of `serve`.
        environ: Its settings; none come from outside.

    Attributes:
        store: As given.
        process: The receiver.
    """

    def __init__(self, store: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.store = store
        self._engine = socket.create_server(("127.0.0.1", 0))
        docker_host = f"tcp://127.0.0.1:{self._engine.getsockname()[1]}"
        unset = {ReceiverSettings.env_name(name): "" for name in ReceiverSettings.model_fields}
        settings = unset | {"DOCKER_HOST": docker_host} | dict(environ or {})
        self.process = ReceiverProcess(store, *arguments, environ=settings)

    def __enter__(self) -> Self:
        try:
            self.process.__enter__()
        except BaseException:
            self._engine.close()
            raise
        self._peak_bytes = self._peak()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        self._engine.close()  # no call waits for its response then
        self.process.stop()

    def kill(self) -> None:
        """Kill it without a warning."""
        self.process.kill()

    @property
    def url(self) -> str:
        """Where the receiver listens."""
        return self.process.url

    def get(self, path: str) -> Reply:
        """Send a GET."""
        return ask(self.url, request("GET", path, content_type=None))

    def deployments(self) -> list[dict[str, Any]]:
        """Return the deployments that the receiver lists."""
        found: list[dict[str, Any]] = self.get("/deployments").document["deployments"]
        return found

    def counter(self, name: str) -> int:
        """Return the value of a counter."""
        return int(read_samples(self.get("/metrics").content.decode())[f"deployment_receiver_{name}"])

    def kept(self, reply: Reply) -> bytes:
        """Return the stored package file of an upload, by its receipt."""
        assert 201 == reply.status, reply
        name: str = reply.document["deployment_id"]
        return (self.store / "packages" / name / "package").read_bytes()

    def engine_was_called(self, seconds: float = 0) -> bool:
        """Return whether there was a connection to the engine since the last call of this."""
        self._engine.settimeout(seconds)
        called = False
        with suppress(BlockingIOError, TimeoutError):
            while True:
                self._engine.accept()[0].close()
                called = True
                self._engine.settimeout(0)
        return called

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Check that the block leaves nothing behind, calls no engine and takes no memory."""
        yield
        assert (200, {"status": "ok"}) == (self.get("/healthz").status, self.get("/healthz").document)
        assert [] == self.left()
        assert not self.engine_was_called()
        assert _GROWTH_MAX_BYTES > self.growth_bytes()

    def growth_bytes(self) -> int:
        """Return the peak of the receiver's memory over that at its start, in bytes."""
        return self._peak() - self._peak_bytes

    def left(self) -> list[str]:
        """Return what is in the store, packages and uploads; waits for the end of uploads that were broken off."""
        eventually_sync(lambda: not any((self.store / "staging").glob("*")))
        return [path.name for folder in ("packages", "staging") for path in (self.store / folder).glob("*")]

    def _peak(self) -> int:
        """Return the peak of the receiver's memory, in bytes (proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10
