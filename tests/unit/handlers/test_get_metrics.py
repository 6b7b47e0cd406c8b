"""The handler of `get_metrics`."""

from pathlib import Path

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.get_metrics import GetMetricsHandler
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelMetricsInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings


async def test_later_work_does_not_change_the_returned_metrics(tmp_path: Path) -> None:
    """The result is a copy."""
    resources = Resources(DeploymentSenderSettings.load({"package_dir": str(tmp_path)}, {}))
    handler = GetMetricsHandler(resources)
    before = await handler.handle(ModelMetricsInput())
    resources.metrics.add("total_bytes_packaged", 7)
    after = await handler.handle(ModelMetricsInput())

    assert (0, 7) == (before["total_bytes_packaged"], after["total_bytes_packaged"])
