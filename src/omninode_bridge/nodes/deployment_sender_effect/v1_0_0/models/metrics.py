"""`get_metrics`: return the counters and timings as a dict."""

from .base import InputModel
from .fields import CorrelationId

__all__ = ["ModelMetricsInput"]


class ModelMetricsInput(InputModel):
    """The operation has no parameters.

    Attributes:
        correlation_id: The caller's id; it has no effect.
    """

    correlation_id: CorrelationId | None = None
