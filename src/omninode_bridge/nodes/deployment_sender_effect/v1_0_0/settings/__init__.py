"""Configuration, read once: container values win over the environment, the environment over defaults.

Four variables have names of their own because other programs share them; every other setting `x` is read from
`DEPLOYMENT_SENDER_X`, and the receiver's from `DEPLOYMENT_RECEIVER_X`.
"""

from .base import BYTES_PER_GB, split_signing_key
from .receiver import ReceiverSettings
from .sender import DeploymentSenderSettings

__all__ = ["BYTES_PER_GB", "DeploymentSenderSettings", "ReceiverSettings", "split_signing_key"]
