"""Putting a service in order; what a start leaves at each moment is in test_services.py."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.cleanup import TOKEN_LABEL, Settling
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.service_records import ServiceRecords
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.engines import FakeEngine
from support.receiver.services import Serving, serving_from


@pytest.fixture
async def engine() -> FakeEngine:
    """An engine without containers."""
    return FakeEngine()


@pytest.fixture
async def serving(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Serving]:
    """Services over an empty store."""
    async with serving_from(tmp_path, engine) as made:
        yield made


async def test_what_is_in_order_is_left_alone(serving: Serving, engine: FakeEngine) -> None:
    """However often it is looked at."""
    await serving.deploy("hello", "one")
    engine.runtime.diary.clear()
    for _ in range(2):
        await serving.services.settle(engine.runtime, "hello")

    assert [] == engine.runtime.diary


async def test_a_process_that_has_to_be_killed_is_told_with_the_setting(serving: Serving, engine: FakeEngine) -> None:
    """An update waits for it."""
    engine.runtime.ignores_stop.add("one")
    await serving.deploy("hello", "one")
    (warning,) = (await serving.deploy("hello", "two")).warnings

    assert "its process did not end within 1 s (container_stop_seconds," in warning
    assert "SIGTERM unless the image names another with STOPSIGNAL" in warning


async def test_one_that_has_ended_before_is_not_told_to_have_been_killed(serving: Serving, engine: FakeEngine) -> None:
    """Whatever its exit code was."""
    first = await serving.deploy("hello", "one")
    assert first.container_id is not None
    engine.runtime.change(first.container_id, status="exited", exit_code=137)

    assert () == (await serving.deploy("hello", "two")).warnings


async def test_a_paused_container_is_replaced_too(serving: Serving, engine: FakeEngine) -> None:
    """The engine does not stop it, but removes it."""
    first = await serving.deploy("hello", "one")
    assert first.container_id is not None
    engine.runtime.change(first.container_id, status="paused")
    await serving.deploy("hello", "two")

    assert {"hello": "running"} == engine.runtime.names()


async def test_a_container_that_was_lost_is_removed_by_its_token(tmp_path: Path, engine: FakeEngine) -> None:
    """And one with another token is somebody else's."""
    workers = ThreadPool(1)
    records = ServiceRecords(tmp_path, workers)
    settling = Settling(records, ReceiverSettings(store=tmp_path))
    record = (await records.get("hello")).model_copy(update={"lost": ("t1",)})
    ours = engine.runtime.add_foreign("hello", {TOKEN_LABEL: "t1"})
    await settling.must_be_free(engine.runtime, record, {"hello"})
    theirs = engine.runtime.add_foreign("hello", {TOKEN_LABEL: "t2"})
    with pytest.raises(Exception, match="has not started"):
        await settling.must_be_free(engine.runtime, record, {"hello"})
    await workers.close()

    assert (False, True) == (ours in engine.runtime.containers, theirs in engine.runtime.containers)
