"""Real parts that may be broken."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine import RealEngine
from support.engine_proxy import EngineProxy
from support.nursery import Nursery
from support.packaging import Packaging
from support.private_engine import PrivateEngine


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
    with Nursery("support.children", f"{clients}.engine_build", f"{clients}.engine_images") as nursery:
        yield nursery
