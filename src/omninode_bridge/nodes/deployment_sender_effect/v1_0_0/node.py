"""The node: validates a contract, calls the operation's handler, closes clients."""

import warnings
from types import TracebackType
from typing import ClassVar, Self

from .errors import InvalidInputError
from .handlers import Handlers
from .handlers.outcome import raise_public_errors
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

    Nothing is opened, made or connected until an operation needs it. Close a node with `cleanup`, or use it in
    `async with`; one that is collected with open clients causes a `ResourceWarning`.

    Args:
        container: Anything with a mapping in `.value`, a mapping, or None; its keys are those of
            `DeploymentSenderSettings` and win over the environment.
        openers: How clients are opened, for programs with clients of their own.

    Raises:
        DeploymentSenderError: VALIDATION_ERROR when a setting is wrong.
    """

    # `onex discover` accepts only classes that have this attribute as nodes (omnibase_core 0.47).
    __onex_node_type__: ClassVar[str] = "EFFECT_GENERIC"

    def __init__(self, container: object = None, *, openers: Openers | None = None) -> None:
        with raise_public_errors():
            settings = DeploymentSenderSettings.load(read_container(container))
        self._resources = Resources(settings, openers)
        self._handlers = Handlers(self._resources)

    async def execute_effect(self, contract: object) -> OutputModel | Figures:
        """Do the operation that a contract names.

        Args:
            contract: Anything with `input_data` or `input_state`, `{"operation": ..., "input": {...}}`, and
                optionally a `correlation_id`; one in the input takes precedence.

        Returns:
            The operation's output model, with `success=False` for a failure; a dict for `get_metrics`.

        Raises:
            DeploymentSenderError: VALIDATION_ERROR when the contract or its input is wrong; nothing was done.
        """
        with raise_public_errors():
            call = read_contract(contract)
            operations = (await self._resources.contract()).operations
            if call.operation not in operations:
                raise InvalidInputError(
                    f"there is no operation {call.operation!r}", recovery=f"Use one of {', '.join(operations)}."
                )
            handler = self._handlers.by_operation[call.operation]
            return await handler.handle(handler.request_model.read(_with_correlation_id(call)))

    async def package_container(
        self, request: ModelContainerPackageInput, *, on_progress: ProgressCallback | None = None
    ) -> ModelContainerPackageOutput:
        """Build, export, compress, hash and keep an image; see `PackageContainerHandler.handle`."""
        with raise_public_errors():
            return await self._handlers.package_container.handle(request, on_progress)

    async def transfer_package(
        self, request: ModelPackageTransferInput, *, on_progress: ProgressCallback | None = None
    ) -> ModelPackageTransferOutput:
        """Send a package to a receiver and wait for it there; see `TransferPackageHandler.handle`."""
        with raise_public_errors():
            return await self._handlers.transfer_package.handle(request, on_progress)

    async def publish_transfer_event(self, request: ModelKafkaPublishInput) -> ModelKafkaPublishOutput:
        """Accept an event and publish it; see `PublishTransferEventHandler.handle`."""
        with raise_public_errors():
            return await self._handlers.publish_transfer_event.handle(request)

    async def get_metrics(self) -> Figures:
        """Return a copy of the counters and timings; see `Metrics`."""
        return await self._handlers.get_metrics.handle(ModelMetricsInput())

    async def cleanup(self) -> None:
        """Close every client; a second call does nothing, and the node can be used again."""
        await self._resources.close()

    def __del__(self) -> None:
        resources: Resources | None = getattr(self, "_resources", None)  # none if the settings were wrong
        if resources is not None and resources.open_names:
            warnings.warn(
                f"a {type(self).__name__} was collected with open clients ({', '.join(resources.open_names)}):"
                " call `await node.cleanup()` when it is not needed any more, or use `async with node`",
                ResourceWarning,
                source=self,
                stacklevel=1,
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.cleanup()


def _with_correlation_id(call: EffectCall) -> dict[str, object]:
    given = {} if call.correlation_id is None else {"correlation_id": call.correlation_id}
    return given | dict(call.input)
