"""The routing table: which handler does which operation of contract.yaml."""

from typing import Any, ClassVar, Protocol

from ..models import InputModel, OutputModel
from ..resources import Resources
from .get_metrics import GetMetricsHandler
from .package_container import PackageContainerHandler
from .publish_transfer_event import PublishTransferEventHandler
from .transfer_package import TransferPackageHandler

__all__ = ["Handler", "Handlers"]


class Handler(Protocol):
    """One operation."""

    request_model: ClassVar[type[InputModel]]

    async def handle(self, request: Any) -> OutputModel | dict[str, int | float | None]:
        """Do the operation for an input of `request_model`."""
        ...


class Handlers:
    """One handler per operation, each under its operation's name.

    Args:
        resources: What the handlers share.
    """

    def __init__(self, resources: Resources) -> None:
        self.package_container = PackageContainerHandler(resources)
        self.transfer_package = TransferPackageHandler(resources)
        self.publish_transfer_event = PublishTransferEventHandler(resources)
        self.get_metrics = GetMetricsHandler(resources)

    def by_operation(self) -> dict[str, Handler]:
        """The table, for routing by name."""
        return dict(vars(self))
