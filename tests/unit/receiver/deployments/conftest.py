"""Services over an empty store, with an engine in memory; tests/integration has a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.engine.engines import FakeEngine
from support.receiver.services import ServiceHarness, open_harness


@pytest.fixture
async def harness(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[ServiceHarness]:
    """Return services that start containers in the fixture `engine`."""
    async with open_harness(tmp_path, engine) as made:
        yield made
