"""ASGI messages as a server passes them on."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Message", "arriving", "chunk"]

Message = MutableMapping[str, Any]


def chunk(data: bytes, *, more: bool = True) -> Message:
    """Return the message for a piece of a request's body."""
    return {"type": "http.request", "body": data, "more_body": more}


def arriving(*messages: Message) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that returns these messages one after another, and then waits for ever."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive
