"""Completing or undoing a start; test_services.py interrupts a start at every moment."""

from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.cleanup import (
    START_LABEL,
    ServiceCleanup,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.failures import ContainerError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.service_records import ServiceRecords
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from support.engine.engines import FakeEngine
from support.receiver.services import ServiceHarness


async def test_a_completed_start_is_left_unchanged(harness: ServiceHarness, engine: FakeEngine) -> None:
    """However often it is cleaned up."""
    await harness.deploy("hello", "one")
    engine.runtime.diary.clear()
    for _ in range(2):
        await harness.services.clean_up(engine.runtime, "hello")

    assert [] == engine.runtime.diary


async def test_a_process_that_had_to_be_killed_is_a_warning(harness: ServiceHarness, engine: FakeEngine) -> None:
    """It delays each update; the warning names the setting."""
    engine.runtime.ignores_stop.add("one")
    await harness.deploy("hello", "one")
    (warning,) = (await harness.deploy("hello", "two")).warnings

    assert "its process did not end within 1 s (container_stop_seconds," in warning
    assert "SIGTERM unless the image names another with STOPSIGNAL" in warning


async def test_a_process_that_ended_before_was_not_killed(harness: ServiceHarness, engine: FakeEngine) -> None:
    """Whatever its exit code was."""
    first = await harness.deploy("hello", "one")
    assert first.container_id is not None
    engine.runtime.change(first.container_id, status="exited", exit_code=137)

    assert () == (await harness.deploy("hello", "two")).warnings


async def test_a_paused_container_is_replaced_too(harness: ServiceHarness, engine: FakeEngine) -> None:
    """The engine does not stop it, but removes it."""
    first = await harness.deploy("hello", "one")
    assert first.container_id is not None
    engine.runtime.change(first.container_id, status="paused")
    await harness.deploy("hello", "two")

    assert {"hello": "running"} == engine.runtime.names()


async def test_a_lost_container_is_removed_by_its_token(
    tmp_path: Path, engine: FakeEngine, workers: ThreadPool
) -> None:
    """A container with another token is not this receiver's."""
    records = ServiceRecords(tmp_path, workers)
    cleanup = ServiceCleanup(records, ReceiverSettings(store=tmp_path))
    record = (await records.get("hello")).model_copy(update={"lost": ("t1",)})
    ours = engine.runtime.add_foreign("hello", {START_LABEL: "t1"})
    await cleanup.require_free_names(engine.runtime, record, {"hello"})
    theirs = engine.runtime.add_foreign("hello", {START_LABEL: "t2"})
    with pytest.raises(ContainerError, match="this receiver did not start the container hello that exists already"):
        await cleanup.require_free_names(engine.runtime, record, {"hello"})

    assert (False, True) == (ours in engine.runtime.containers, theirs in engine.runtime.containers)
