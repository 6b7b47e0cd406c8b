"""What all parts of one running receiver share."""

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
    """The receiver's settings, threads, deployments, counters and locks.

    Attributes:
        references: A lock for each `name:tag`: held while an image is given, or loses, that name.
        containers: A lock for each image name: held while its container is started, or its status is changed.
    """

    settings: ReceiverSettings
    workers: ThreadPool
    deployments: Deployments
    metrics: Metrics = field(default_factory=lambda: Metrics(RECEIVER))
    references: NamedLocks = field(default_factory=NamedLocks)
    containers: NamedLocks = field(default_factory=NamedLocks)
