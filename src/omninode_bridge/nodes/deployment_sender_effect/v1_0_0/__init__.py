"""Send container images to machines that have no registry: package, transfer, verify, tell.

The front door. Everything that is not named in `__all__` may change without notice.
"""

from .errors import DeploymentSenderError, ErrorCode
from .models import (
    EventType,
    ModelContainerPackageInput,
    ModelContainerPackageOutput,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
    ModelMetricsInput,
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
)
from .node import NodeDeploymentSenderEffect
from .onex import ModelContainer, ModelContractEffect
from .ports import Progress
from .settings import DeploymentSenderSettings

__all__ = [
    "DeploymentSenderError",
    "DeploymentSenderSettings",
    "ErrorCode",
    "EventType",
    "ModelContainer",
    "ModelContainerPackageInput",
    "ModelContainerPackageOutput",
    "ModelContractEffect",
    "ModelKafkaPublishInput",
    "ModelKafkaPublishOutput",
    "ModelMetricsInput",
    "ModelPackageTransferInput",
    "ModelPackageTransferOutput",
    "NodeDeploymentSenderEffect",
    "Progress",
]
