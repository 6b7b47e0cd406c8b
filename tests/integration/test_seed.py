"""The README's usage, word for word, then the other three operations."""

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from support.engine.engines import RealEngine
from support.receiver.process import ReceiverProcess

ROOT = Path(__file__).parents[2]
PROMISED = {
    "total_builds",
    "successful_builds",
    "failed_builds",
    "total_transfers",
    "successful_transfers",
    "failed_transfers",
    "total_events_published",
}


def _snippet() -> str:
    (code,) = re.findall(r"```python\n(from omninode_bridge.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return str(code)


def _lay_out(folder: Path, base_image: str) -> None:
    """Make what the snippet names: the folder `...` is both its package folder and its build context."""
    context = folder / "..." / "deployment"
    context.mkdir(parents=True)
    (context / "Dockerfile.orchestrator").write_text(
        f"FROM {base_image}\nARG PYTHON_VERSION\nARG SERVICE_NAME\n"
        'RUN echo "$SERVICE_NAME on $PYTHON_VERSION" > /told\nCMD ["sleep", "60"]\n'
    )


async def test_the_seed_usage_runs_as_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real_engine: RealEngine,
    receiver: ReceiverProcess,
) -> None:
    """Package, transfer, publish, get_metrics: all by contract, with the front door's own classes."""
    _lay_out(tmp_path, real_engine.base_image)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    real_engine.remove_later("omninode-bridge-orchestrator:1.0.0")
    code = compile(_snippet(), "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, namespace)
    node, package = namespace["node"], namespace["result"]

    assert package.success
    file = Path(package.package_path)
    assert file.stat().st_size == package.package_size_bytes == round(package.package_size_mb * 1_000_000)
    b3sum = await asyncio.create_subprocess_exec("b3sum", "--no-names", file, stdout=asyncio.subprocess.PIPE)
    assert (await b3sum.communicate())[0].decode().strip() == package.package_checksum

    contract = namespace["ModelContractEffect"]
    transfer = await node.execute_effect(
        contract(
            input_data={
                "operation": "transfer_package",
                "input": {
                    "package_id": package.package_id,
                    "package_path": package.package_path,
                    "package_checksum": package.package_checksum,
                    "remote_receiver_url": receiver.url,
                    "container_name": "omninode-bridge-orchestrator",
                    "image_tag": "1.0.0",
                    "verify_checksum": True,
                },
            },
            correlation_id="deploy-001",
        )
    )
    assert (True, True, "loaded", 1) == (
        transfer.transfer_success,
        transfer.checksum_verified,
        transfer.deployment_status,
        transfer.attempts,
    ), transfer
    assert transfer.remote_deployment_id
    assert transfer.transfer_throughput_mbps > 0

    event = await node.execute_effect(
        contract(
            input_data={
                "operation": "publish_transfer_event",
                "input": {
                    "event_type": "TRANSFER_COMPLETED",
                    "event_payload": {"deployment_id": transfer.remote_deployment_id},
                    "correlation_id": "deploy-001",
                    "package_id": package.package_id,
                    "container_name": "omninode-bridge-orchestrator",
                    "image_tag": "1.0.0",
                },
            }
        )
    )
    assert (True, False, True, "onex.evt.deployment-sender.transfer-completed.v1") == (
        event.success,
        event.event_published,
        event.queued,
        event.topic,
    )

    figures = await node.execute_effect(contract(input_data={"operation": "get_metrics", "input": {}}))
    assert set() == PROMISED - figures.keys()
    assert (1, 1, 1, 1, 0) == (
        figures["total_builds"],
        figures["successful_builds"],
        figures["total_transfers"],
        figures["successful_transfers"],
        figures["total_events_published"],
    )
    await node.cleanup()
