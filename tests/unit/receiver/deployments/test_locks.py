"""Locks by name."""

import gc

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.locks import NamedLocks


async def test_one_name_is_one_lock() -> None:
    """And another name is another."""
    locks = NamedLocks()
    held = locks.of("a")
    assert held is locks.of("a")
    assert held is not locks.of("b")


async def test_a_lock_that_nobody_uses_is_forgotten() -> None:
    """However many names there are."""
    locks = NamedLocks()
    held = locks.of("a")
    locks.of("b")
    gc.collect()
    assert [held] == list(locks._locks.values())
