"""One attempt to send a package: how far it is, and where its time goes."""

import time

__all__ = ["Attempt"]


class Attempt:
    """Begins when it is made.

    Attributes:
        sent_bytes: Of the package, so far.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._connected: float | None = None
        self._moved = self._began
        self.sent_bytes = 0

    def sent(self, done_bytes: int) -> None:
        """Hear of it as the uploader tells it: 0 once connected, then all bytes so far."""
        self._moved = time.perf_counter()
        self._connected = self._connected or self._moved
        self.sent_bytes = done_bytes

    def stages_ms(self) -> dict[str, float]:
        """Answer milliseconds until it was connected, while it sent, and since then: until the receiver's answer."""
        connected = self._connected or self._moved
        return {
            "connect": (connected - self._began) * 1000,
            "send": (self._moved - connected) * 1000,
            "verify": (time.perf_counter() - self._moved) * 1000,
        }

    @property
    def megabytes_per_second(self) -> float:
        """What was sent, over the whole time so far; an MB is 1,000,000 bytes."""
        return self.sent_bytes / ((time.perf_counter() - self._began) * 1_000_000)
