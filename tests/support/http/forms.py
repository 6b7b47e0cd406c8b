"""Upload forms: written as senders write them, and read without a loop."""

from collections.abc import AsyncGenerator, Iterable, Mapping

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.file_writer import HashingFileWriter
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.form import UploadForm

__all__ = ["Form", "Kept", "read_form", "written_form"]

Form = tuple[dict[str, str], bytes]


class Kept(HashingFileWriter):
    """Keeps what it is fed in memory, without a thread."""

    def __init__(self) -> None:
        self.content = bytearray()

    async def write(self, data: memoryview) -> None:
        self.content += data


def written_form(boundary: bytes, fields: Mapping[str, str], package: bytes) -> bytes:
    """Write a form: the fields first, then the package."""
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name.encode(), value.encode())
        for name, value in fields.items()
    ]
    head = b'Content-Disposition: form-data; name="package"; filename="image.tar"\r\nContent-Type: application/x-tar'
    return b"".join([*parts, b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, head, package, boundary)])


def read_form(boundary: bytes, chunks: Iterable[bytes]) -> Form | None:
    """Read a form that arrives in these chunks: its fields and the package; None if it is refused as it should be."""
    reading = _read(boundary, chunks)
    try:
        reading.send(None)  # nothing in it ever waits
    except StopIteration as done:
        form: Form = done.value
        return form
    except InvalidInputError:
        return None
    raise AssertionError("reading a form waits for something")


async def _read(boundary: bytes, chunks: Iterable[bytes]) -> Form:
    async def body() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield chunk

    form = UploadForm(boundary, body())
    fields = dict(await form.fields())
    kept = Kept()
    await form.file(kept)
    return fields, bytes(kept.content)
