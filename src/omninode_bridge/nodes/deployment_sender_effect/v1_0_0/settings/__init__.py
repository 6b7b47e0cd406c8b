"""Settings, read once: a container's values come before the environment, and the environment before defaults.

Variables that other programs share, such as `DOCKER_HOST`, have names without a prefix. Every other setting `x` is read
from `DEPLOYMENT_SENDER_X`, and the receiver's from `DEPLOYMENT_RECEIVER_X`.
"""

from .base import BYTES_PER_GB, split_signing_key
from .receiver import ReceiverSettings
from .sender import DeploymentSenderSettings

__all__ = ["BYTES_PER_GB", "DeploymentSenderSettings", "ReceiverSettings", "split_signing_key"]
