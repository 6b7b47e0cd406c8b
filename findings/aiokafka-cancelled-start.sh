#!/bin/sh
# aiokafka 0.14.0 (PyPI): cancelling AIOKafkaProducer.start() while it waits for the broker's metadata leaves the connection
# to the broker open, and nothing that the caller has can close it: stop() does not know it. It is closed when it is
# collected. A broker that is frozen, or slow behind a time-out around start(), costs one descriptor for each attempt.
# Seen:     after cancelling start() and awaiting stop(): 1 connection open at the broker.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check aiokafka==0.14.0
"$folder/venv/bin/python" -W ignore - <<'END'
import asyncio
import gc
import struct

from aiokafka import AIOKafkaProducer

API_VERSIONS, METADATA, PRODUCE = 18, 3, 0
open_connections, asked = set(), asyncio.Event()


async def serve(reader, writer):
    """Answer ApiVersions (Kafka protocol, version 0), and nothing else."""
    open_connections.add(writer)
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            api, _version, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            if api != API_VERSIONS:
                asked.set()
                continue
            kinds = [(API_VERSIONS, 0, 0), (METADATA, 0, 5), (PRODUCE, 0, 7)]
            body = struct.pack(">ihi", correlation, 0, len(kinds)) + b"".join(struct.pack(">hhh", *kind) for kind in kinds)
            writer.write(struct.pack(">i", len(body)) + body)
    except asyncio.IncompleteReadError:
        open_connections.discard(writer)
        writer.close()


async def main():
    gc.disable()  # so that only what is closed on purpose is closed
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    producer = AIOKafkaProducer(bootstrap_servers=address)
    starting = asyncio.ensure_future(producer.start())
    await asked.wait()
    starting.cancel()
    await asyncio.wait([starting])
    await producer.stop()
    await asyncio.sleep(0.5)
    left = len(open_connections)
    print("cancelled:", starting.cancelled(), "connections open after stop():", left)
    assert starting.cancelled() and left == 1


asyncio.run(asyncio.wait_for(main(), 60))
END
