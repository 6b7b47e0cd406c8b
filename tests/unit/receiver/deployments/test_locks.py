"""Locks by name."""

import gc

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.locks import NamedLocks


async def test_a_name_has_one_lock() -> None:
    """And another name has another lock."""
    locks = NamedLocks()
    held = locks.of("a")

    assert held is locks.of("a")
    assert held is not locks.of("b")


async def test_a_lock_that_is_not_used_is_deleted() -> None:
    """So the number of names does not matter."""
    locks = NamedLocks()
    held = locks.of("a")
    locks.of("b")
    gc.collect()

    assert [held] == list(locks._locks.values())
