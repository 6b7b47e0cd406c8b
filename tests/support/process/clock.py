"""The clock of an event loop, which a test puts forward: deadlines come at once, without waiting."""

import asyncio

__all__ = ["put_forward"]


def put_forward(seconds: float) -> None:
    """Put the running loop's clock forward; what is due by then runs next, in its order.

    Args:
        seconds: How far.
    """
    loop = asyncio.get_running_loop()
    earlier = loop.time
    loop.time = lambda: earlier() + seconds  # type: ignore[method-assign] # the loop reads its time from this method
    loop.call_soon(lambda: None)  # a loop that is about to sleep by the old time wakes up
