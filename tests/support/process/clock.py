"""The clock of an event loop, which a test puts forward: a deadline comes when the test says so, and nobody waits."""

import asyncio

__all__ = ["put_forward"]


def put_forward(seconds: float) -> None:
    """Let the running loop's clock be later from now on; what is due by then comes next, in its order.

    Args:
        seconds: By how much.
    """
    loop = asyncio.get_running_loop()
    earlier = loop.time
    loop.time = lambda: earlier() + seconds  # type: ignore[method-assign] # the loop asks itself for the time
    loop.call_soon(lambda: None)  # it may be about to sleep by the old time
