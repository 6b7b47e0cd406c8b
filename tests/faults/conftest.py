"""Real parts that may be broken."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine.engines import RealEngine
from support.engine.packaging import Packaging
from support.engine.private import PrivateEngine
from support.engine.proxy import EngineProxy
from support.process.nursery import Nursery


@pytest.fixture
def packaging(tmp_path: Path, real_engine: RealEngine, caplog: pytest.LogCaptureFixture) -> Iterator[Packaging]:
    """What to package with; when the test is over, no result and no line of the log has held the secret."""
    caplog.set_level(logging.DEBUG)
    packaging = Packaging(tmp_path, real_engine)
    yield packaging
    assert [] == packaging.betrayals(caplog.text)


@pytest.fixture
def private(packaging: Packaging) -> Iterator[PrivateEngine]:
    """An engine that may be killed; the one that the test packages with."""
    with PrivateEngine(packaging.engine) as engine:
        packaging.engine = engine
        yield engine


@pytest.fixture
def proxy(packaging: Packaging) -> Iterator[EngineProxy]:
    """A proxy before the engine that the test packages with."""
    with EngineProxy(packaging.engine.docker_host) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where children come from; what packaging loads is loaded there."""
    clients = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients"
    with Nursery("support.process.children", f"{clients}.docker.build", f"{clients}.docker.images") as nursery:
        yield nursery
