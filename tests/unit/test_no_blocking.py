"""The guard against blocking calls bites."""

import time

import pytest
from blockbuster import BlockingError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.outcome import errors_to_output


async def test_a_blocking_call_on_the_loop_fails_the_test() -> None:
    """Called from our code, on the loop: the guard raises."""

    class Sleeps:
        def __await__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            time.sleep(0.001)
            return
            yield

    with pytest.raises(BlockingError):
        await errors_to_output(Sleeps(), lambda error: None, storage=ErrorCode.BUILD_FAILED)
