"""Handler of `get_metrics`."""

from typing import ClassVar

from ..models import ModelMetricsInput
from ..resources import Resources

__all__ = ["GetMetricsHandler"]


class GetMetricsHandler:
    """Returns the node's counters and timings."""

    request_model: ClassVar = ModelMetricsInput

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def handle(self, _request: ModelMetricsInput) -> dict[str, int | float | None]:
        """Return a copy of the metrics; later work does not change it."""
        return self._resources.metrics.snapshot()
