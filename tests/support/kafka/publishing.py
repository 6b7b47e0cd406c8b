"""Publishes events as a process of its own: `python -m support.kafka.publishing FOLDER SERVERS NAME COUNT [die]`.

Event n of process NAME is of package n modulo 5. Each output is a line of JSON. With `die` the process ends as if by
SIGKILL, without closing anything.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import NodeDeploymentSenderEffect
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelKafkaPublishInput

PACKAGE_IDS = [str(UUID(int=n, version=4)) for n in range(5)]


def start(folder: Path, servers: str, name: str, count: int, *options: str) -> subprocess.Popen[str]:
    """Start such a process."""
    command = [sys.executable, "-m", "support.kafka.publishing", str(folder), servers, name, str(count), *options]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def request(name: str, number: int) -> ModelKafkaPublishInput:
    """Return the request of event `number` of process `name`."""
    return ModelKafkaPublishInput(
        event_type="BUILD_STARTED",
        package_id=PACKAGE_IDS[number % len(PACKAGE_IDS)],
        event_payload={"process": name, "number": number},
    )


async def _publish(folder: str, servers: str, name: str, count: str, *options: str) -> None:
    values = {"package_dir": folder, "kafka_bootstrap_servers": servers or None, "publish_timeout_seconds": 60}
    node = NodeDeploymentSenderEffect(values)
    for number in range(int(count)):
        output = await node.publish_transfer_event(request(name, number))
        print(output.model_dump_json(), flush=True)  # noqa: T201 - the test reads its output
    if options:
        os.kill(os.getpid(), signal.SIGKILL)
    await node.cleanup()


if __name__ == "__main__":
    asyncio.run(_publish(*sys.argv[1:]))
