"""All that the node works with: real ones, that are gone after the run."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from soak.images import Images
from support.kafka.broker import KafkaBroker, running_broker
from support.receiver.process import ReceiverProcess

__all__ = ["Parts", "running_parts"]


@dataclass(frozen=True)
class Parts:
    """Everything around the node.

    Attributes:
        folder: The node's package folder.
        temporary: Where everybody's temporary files go.
        key: What uploads are signed with.
    """

    folder: Path
    temporary: Path
    key: str
    images: Images
    broker: KafkaBroker
    receiver: ReceiverProcess


@contextmanager
def running_parts() -> Iterator[Parts]:
    """Start them; end them, and remove what was made of them."""
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        temporary = parts.enter_context(_temporary_folder(folder / "tmp"))
        images = parts.enter_context(Images(folder / "contexts"))
        broker = parts.enter_context(running_broker(folder / "broker"))
        key = f"soak:{secrets.token_hex(32)}"
        environ = {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": key, "TMPDIR": str(temporary)}
        receiver = parts.enter_context(ReceiverProcess(folder / "receiver", environ=environ))
        yield Parts(folder / "packages", temporary, key, images, broker, receiver)


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Have temporary files where what is left of them is seen."""
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
