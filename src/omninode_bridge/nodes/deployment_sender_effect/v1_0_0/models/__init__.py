"""Inputs and outputs, one file per operation."""

from .base import InputModel, OutputModel, validation_error
from .container_package import ModelContainerPackageInput, ModelContainerPackageOutput
from .kafka_publish import EventType, ModelKafkaPublishInput, ModelKafkaPublishOutput
from .metrics import ModelMetricsInput
from .package_transfer import DeploymentStatus, ModelPackageTransferInput, ModelPackageTransferOutput

__all__ = [
    "DeploymentStatus",
    "EventType",
    "InputModel",
    "ModelContainerPackageInput",
    "ModelContainerPackageOutput",
    "ModelKafkaPublishInput",
    "ModelKafkaPublishOutput",
    "ModelMetricsInput",
    "ModelPackageTransferInput",
    "ModelPackageTransferOutput",
    "OutputModel",
    "validation_error",
]
