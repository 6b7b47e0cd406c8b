"""`ContainerEngine`: what every engine says of itself, and that nothing is done once it is closed."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerFacts
from support.engine.under_test import EngineUnderTest

CALLS: dict[str, Callable[[EngineUnderTest], Awaitable[object]]] = {
    "ping": lambda it: it.engine.ping(),
    "info": lambda it: it.engine.info(),
    "build": lambda it: it.engine.build(it.request("closed:1"), lambda _: None),
    "export": lambda it: it.engine.export("closed:1", list),
    "load": lambda it: it.engine.load(iter([])),
    "inspect": lambda it: it.engine.inspect("closed:1"),
    "tag": lambda it: it.engine.tag("sha256:1", "closed:1"),
    "untag": lambda it: it.engine.untag("closed:1"),
    "references": lambda it: it.engine.references("closed"),
    "create": lambda it: it.engine.runtime.create(it.spec("sha256:1", "closed")),
    "start": lambda it: it.engine.runtime.start("closed"),
    "keep_up": lambda it: it.engine.runtime.keep_up("closed"),
    "stop": lambda it: it.engine.runtime.stop("closed", 1),
    "rename": lambda it: it.engine.runtime.rename("closed", "other"),
    "remove": lambda it: it.engine.runtime.remove("closed", volumes=True),
    "inspect container": lambda it: it.engine.runtime.inspect("closed"),
    "last_end": lambda it: it.engine.runtime.last_end(ContainerFacts("closed", "closed", "running")),
    "log_tail": lambda it: it.engine.runtime.log_tail("closed"),
    "volume_paths": lambda it: it.engine.runtime.volume_paths("sha256:1"),
    "has_volume": lambda it: it.engine.runtime.has_volume("closed"),
}


async def test_an_engine_reports_what_it_is(subject: EngineUnderTest) -> None:
    """Its version, its store and its platform."""
    await subject.engine.ping()
    info = await subject.engine.info()

    assert "" not in {info.version, info.storage_driver, info.data_folder, info.architecture}
    assert ("linux", True) == (info.os, info.name in {"Docker Engine", "Podman Engine"})


async def test_closing_twice_is_safe(subject: EngineUnderTest) -> None:
    """The second call does nothing."""
    await subject.engine.close()
    await subject.engine.close()


async def test_after_closing_every_call_is_refused(subject: EngineUnderTest) -> None:
    """The engine is not asked."""
    await subject.engine.close()
    refused = []
    for name, call in CALLS.items():
        with pytest.raises(EngineUnavailableError):
            await call(subject)
        refused.append(name)

    assert list(CALLS) == refused


async def test_closing_ends_an_export(subject: EngineUnderTest) -> None:
    """Its reader has returned, and its caller gets EngineUnavailableError."""
    reference = await subject.loaded("closed meanwhile")
    began, go_on = threading.Event(), threading.Event()

    def consume(chunks: Iterator[bytes]) -> None:
        next(chunks)
        began.set()
        go_on.wait()
        list(chunks)
        raise EngineUnavailableError("the end of the chunks")

    task = asyncio.create_task(subject.engine.export(reference, consume))
    await asyncio.to_thread(began.wait)
    closing = asyncio.create_task(subject.engine.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    with pytest.raises(EngineUnavailableError):
        await task
