"""The hall: read the contract, find the handler, close on the way out."""

from types import TracebackType
from typing import ClassVar, Self

from .errors import DeploymentSenderError, ErrorCode
from .handlers import Handlers
from .models import (
    ModelContainerPackageInput,
    ModelContainerPackageOutput,
    ModelKafkaPublishInput,
    ModelKafkaPublishOutput,
    ModelMetricsInput,
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    OutputModel,
)
from .onex import EffectCall, read_container, read_contract
from .ports import ProgressCallback
from .resources import Openers, Resources
from .settings import DeploymentSenderSettings

__all__ = ["NodeDeploymentSenderEffect"]

Figures = dict[str, int | float | None]


class NodeDeploymentSenderEffect:
    """Packages container images, sends them to receivers and publishes events.

    Nothing is opened, made or connected until an operation needs it.

    Args:
        container: Anything with a mapping in `.value`, a mapping, or None; its keys are those of
            `DeploymentSenderSettings` and win over the environment.
        openers: How clients are opened, for programs that bring their own.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR when a setting is wrong.
    """

    # What `onex discover` asks a class for before it takes it for a node (omnibase_core 0.47).
    __onex_node_type__: ClassVar[str] = "EFFECT_GENERIC"

    def __init__(self, container: object = None, *, openers: Openers | None = None) -> None:
        self._resources = Resources(DeploymentSenderSettings.load(read_container(container)), openers)
        self._handlers = Handlers(self._resources)
        self._routes = self._handlers.by_operation()

    async def execute_effect(self, contract: object) -> OutputModel | Figures:
        """Do the operation that a contract asks for.

        Args:
            contract: Anything with `input_data` or `input_state`, `{"operation": ..., "input": {...}}`, and
                optionally a `correlation_id`; one in the input wins over it.

        Returns:
            The operation's output model, with `success=False` where the world failed; a dict for `get_metrics`.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR when the contract or its input is wrong; nothing was done.
        """
        call = read_contract(contract)
        operations = (await self._resources.contract()).operations
        if call.operation not in operations:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                f"there is no operation {call.operation!r}",
                recovery=f"Ask for one of {', '.join(operations)}.",
            )
        handler = self._routes[call.operation]
        return await handler.handle(handler.request_model.read(_with_correlation_id(call)))

    async def package_container(
        self, request: ModelContainerPackageInput, *, on_progress: ProgressCallback | None = None
    ) -> ModelContainerPackageOutput:
        """Build, export, compress, hash and keep an image; see `PackageContainerHandler.handle`."""
        return await self._handlers.package_container.handle(request, on_progress)

    async def transfer_package(
        self, request: ModelPackageTransferInput, *, on_progress: ProgressCallback | None = None
    ) -> ModelPackageTransferOutput:
        """Send a package to a receiver and wait for it there; see `TransferPackageHandler.handle`."""
        return await self._handlers.transfer_package.handle(request, on_progress)

    async def publish_transfer_event(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        """Accept an event and publish it; see `PublishTransferEventHandler.handle`."""
        return await self._handlers.publish_transfer_event.handle(request)

    async def get_metrics(self) -> Figures:
        """Answer a snapshot of the figures; see `Metrics`."""
        return await self._handlers.get_metrics.handle(ModelMetricsInput())

    async def cleanup(self) -> None:
        """Close every client; twice is safe, also after failures."""
        await self._resources.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.cleanup()


def _with_correlation_id(call: EffectCall) -> dict[str, object]:
    given = {} if call.correlation_id is None else {"correlation_id": call.correlation_id}
    return given | dict(call.input)
