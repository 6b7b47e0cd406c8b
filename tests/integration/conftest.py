"""The real parts: an engine, a receiver as a process, a broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.receiver.process import ReceiverProcess


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    """A receiver with the real engine behind it and an empty store."""
    with ReceiverProcess(tmp_path / "receiver") as process:
        yield process
