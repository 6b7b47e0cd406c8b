"""What every part of one running receiver uses."""

from dataclasses import dataclass, field

from ..settings import ReceiverSettings
from .counters import Counters
from .deployments import Deployments
from .workers import Workers

__all__ = ["Shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """The receiver's settings, its threads, its deployments and what it counts."""

    settings: ReceiverSettings
    workers: Workers
    deployments: Deployments
    counters: Counters = field(default_factory=Counters)
