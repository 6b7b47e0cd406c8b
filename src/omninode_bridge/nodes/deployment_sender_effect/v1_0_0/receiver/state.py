"""What every part of one running receiver uses."""

from dataclasses import dataclass, field

from ..concurrency import ThreadPool
from ..settings import ReceiverSettings
from ..telemetry.catalogue import RECEIVER
from ..telemetry.metrics import Metrics
from .deployments.locks import NamedLocks
from .deployments.records import Deployments

__all__ = ["ReceiverState"]


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """The receiver's settings, its threads, its deployments and what it counts.

    Attributes:
        references: Held, by `name:tag`, by who decides what that leads to.
        containers: Held, by image name, by who starts its container or says what became of it.
    """

    settings: ReceiverSettings
    workers: ThreadPool
    deployments: Deployments
    metrics: Metrics = field(default_factory=lambda: Metrics(RECEIVER))
    references: NamedLocks = field(default_factory=NamedLocks)
    containers: NamedLocks = field(default_factory=NamedLocks)
