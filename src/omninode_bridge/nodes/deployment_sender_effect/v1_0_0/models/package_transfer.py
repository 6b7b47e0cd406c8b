"""`transfer_package`: send a package to a receiver, which verifies and loads it."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictStr

from .base import InputModel, OutputModel
from .fields import Checksum, ContainerName, CorrelationId, ImageTag, PackageId, ReceiverUrl, WaitFor

__all__ = ["DeploymentStatus", "ModelPackageTransferInput", "ModelPackageTransferOutput"]

DeploymentStatus = Literal["received", "loading", "loaded", "running", "replaced", "failed"]


class ModelPackageTransferInput(InputModel):
    """What to send, and to which receiver.

    Attributes:
        package_id: As `package_container` returned it.
        package_path: Must be the store's file of that package if given.
        package_checksum: Must be the package's BLAKE3 if given.
        remote_receiver_url: `http(s)://host[:port][/path]`, to which `/deploy` is added unless it ends so; the setting
            `default_receiver_url` if not given.
        container_name: Must be the package's name if given.
        image_tag: Must be the package's tag if given.
        verify_checksum: Hash the file while it is sent, and require that the receiver has verified it; as the package
            was made if not given.
        wait_for: Which status of the deployment to wait for; None for the last one that this receiver brings it to:
            `running` where it starts containers, else `loaded`.
        any_platform: Send the package even if the receiver's engine cannot run images of its platform.
        transfer_timeout_seconds: Limit on all attempts together, in seconds; the setting of that name if not given.
        correlation_id: The caller's id; the contract's if not given.
    """

    package_id: PackageId
    package_path: Annotated[StrictStr, Field(min_length=1)] | None = None
    package_checksum: Checksum | None = None
    remote_receiver_url: ReceiverUrl | None = None
    container_name: ContainerName | None = None
    image_tag: ImageTag | None = None
    verify_checksum: StrictBool | None = None
    wait_for: WaitFor | None = "loaded"
    any_platform: StrictBool = False
    transfer_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    correlation_id: CorrelationId | None = None


class ModelPackageTransferOutput(OutputModel):
    """The result of the transfer.

    Attributes:
        transfer_success: The same as `success`.
        remote_deployment_id: The receiver's id of the deployment; also set if the receiver took the package but could
            not load it.
        deployment_status: The last status that the receiver reported; None where it reports none.
        deployment_continues: Whether the receiver still works on the package, though this call no longer waits.
        checksum_verified: As the receiver reported it; None if it was not reached.
        transfer_duration_ms: From the first attempt to the receipt, in milliseconds, retries and back-off included.
        transfer_throughput_mbps: MB/s of the successful attempt (package bytes per second / 1,000,000).
        bytes_transferred: Bytes of the package file that the receiver acknowledged.
        attempts: Uploads tried; 1 if the first succeeded.
        stages_ms: Where the time went, in milliseconds: `check`, hashing the file, at the same time as the others; of
            the successful attempt `connect`, `send` and `verify`, until the receipt; `load`, until the status in
            `wait_for`.
    """

    transfer_success: bool
    package_id: PackageId | None = None
    remote_deployment_id: str | None = None
    deployment_status: DeploymentStatus | None = None
    deployment_continues: bool = False
    checksum_verified: bool | None = None
    transfer_duration_ms: float | None = None
    transfer_throughput_mbps: float | None = None
    bytes_transferred: int = 0
    attempts: int = 0
    stages_ms: dict[str, float] = Field(default_factory=dict)
