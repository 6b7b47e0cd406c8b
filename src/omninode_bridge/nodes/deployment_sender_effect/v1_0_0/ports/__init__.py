"""What handlers and the receiver ask of the outside world, without knowing a vendor.

Every method raises `DeploymentSenderError` with the code named here, and nothing of its vendor's. Every awaitable
is safe to cancel: the work at the other end is stopped, threads have ended and sockets are closed when
`CancelledError` comes out.
"""

from .events import Delivery, EventPublisher
from .image import BuildRequest, EngineInfo, ImageEngine, ImageFacts
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
    "ImageEngine",
    "ImageFacts",
    "PackageContent",
    "Progress",
    "ProgressCallback",
    "Receipt",
    "ReceiverEngine",
    "ReceiverInfo",
]
