"""The routing table: which handler does which operation of contract.yaml."""

from typing import Any, Protocol

from ..models import InputModel, OutputModel
from ..resources import Resources
from .get_metrics import GetMetricsHandler
from .package_container import PackageContainerHandler
from .publish_transfer_event import PublishTransferEventHandler
from .transfer_package import TransferPackageHandler

__all__ = ["Handler", "Handlers"]


class Handler(Protocol):
    """One operation."""

    @property
    def request_model(self) -> type[InputModel]:
        """The model of its input."""
        ...

    async def handle(self, request: Any, /) -> OutputModel | dict[str, int | float | None]:
        """Do the operation for an input of `request_model`."""
        ...


class Handlers:
    """One handler for each operation.

    Args:
        resources: Shared by the handlers.

    Attributes:
        by_operation: Each handler under the name of its operation in contract.yaml.
    """

    def __init__(self, resources: Resources) -> None:
        self.package_container = PackageContainerHandler(resources)
        self.transfer_package = TransferPackageHandler(resources)
        self.publish_transfer_event = PublishTransferEventHandler(resources)
        self.get_metrics = GetMetricsHandler(resources)
        self.by_operation: dict[str, Handler] = {
            "package_container": self.package_container,
            "transfer_package": self.transfer_package,
            "publish_transfer_event": self.publish_transfer_event,
            "get_metrics": self.get_metrics,
        }
