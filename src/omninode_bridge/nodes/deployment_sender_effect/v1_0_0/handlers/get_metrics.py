"""Handler of `get_metrics`."""

from typing import ClassVar

from ..models import ModelMetricsInput
from ..resources import Resources

__all__ = ["GetMetricsHandler"]


class GetMetricsHandler:
    """Answers a snapshot of the node's figures."""

    request_model: ClassVar = ModelMetricsInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def handle(self, request: ModelMetricsInput) -> dict[str, int | float | None]:  # noqa: ARG002 - nothing is asked
        """Answer a copy that later work does not change."""
        return self._resources.metrics.snapshot()
