"""What every part of one running receiver uses."""

from dataclasses import dataclass, field

from ..settings import ReceiverSettings
from .counters import Counters
from .deployments import Deployments
from .locks import NamedLocks
from .workers import Workers

__all__ = ["Shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """The receiver's settings, its threads, its deployments and what it counts.

    Attributes:
        references: Held, by `name:tag`, by who decides what that leads to.
        containers: Held, by image name, by who starts its container or says what became of it.
    """

    settings: ReceiverSettings
    workers: Workers
    deployments: Deployments
    counters: Counters = field(default_factory=Counters)
    references: NamedLocks = field(default_factory=NamedLocks)
    containers: NamedLocks = field(default_factory=NamedLocks)
