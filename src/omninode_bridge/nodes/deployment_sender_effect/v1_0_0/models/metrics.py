"""`get_metrics`: asks nothing, answers a plain dict."""

from .base import InputModel
from .fields import CorrelationId

__all__ = ["ModelMetricsInput"]


class ModelMetricsInput(InputModel):
    """Nothing is asked for.

    Attributes:
        correlation_id: The caller's own id; it changes nothing.
    """

    correlation_id: CorrelationId | None = None
