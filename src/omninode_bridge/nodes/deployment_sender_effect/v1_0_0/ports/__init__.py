"""The outside world as handlers and the receiver use it, without knowing a vendor.

Every method raises the types that it names (`errors.py`) and no type of its vendor's; tests/conformance holds every
implementation to that. Every awaitable is safe to cancel: when `CancelledError` is raised, the work at the other end is
stopped, threads have ended and sockets are closed.
"""

from .engine import ContainerEngine, EngineInfo
from .events import Delivery, EventPublisher
from .image import BuildRequest, ImageBuilder, ImageFacts, ImageSource, ImageStore
from .progress import Progress, ProgressCallback
from .runtime import ContainerEnd, ContainerFacts, ContainerLimits, ContainerRuntime, ContainerSpec, Health
from .target import (
    DeploymentState,
    DeployTarget,
    DeployTargets,
    PackageContent,
    Receipt,
    ReceiverEngine,
    ReceiverInfo,
)

__all__ = [
    "BuildRequest",
    "ContainerEnd",
    "ContainerEngine",
    "ContainerFacts",
    "ContainerLimits",
    "ContainerRuntime",
    "ContainerSpec",
    "Delivery",
    "DeployTarget",
    "DeployTargets",
    "DeploymentState",
    "EngineInfo",
    "EventPublisher",
    "Health",
    "ImageBuilder",
    "ImageFacts",
    "ImageSource",
    "ImageStore",
    "PackageContent",
    "Progress",
    "ProgressCallback",
    "Receipt",
    "ReceiverEngine",
    "ReceiverInfo",
]
