"""The upload form: any body is read or refused, the same however it is split."""

from support.http.forms import read_form, written_form

__all__ = ["MAX_BYTES", "check", "seeds"]

# What follows a form's end may be this long: then it counts where the body is split.
MAX_BYTES = 4096
_BOUNDARY = b"B"


def seeds() -> list[bytes]:
    """Return forms with and without fields, with other headers, and with bytes that are almost the boundary."""
    form = written_form(_BOUNDARY, {"package_id": "x", "verify_checksum": "true"}, b"\r\n--\r\n--\r\n-B--B")
    return [
        form,
        written_form(_BOUNDARY, {}, b""),
        form.replace(b"; filename", b"; filename*=utf-8''a; x=y; filename"),
        form.replace(b"Content-Disposition", b"X: y\r\ncontent-disposition"),
        form.removesuffix(b"\r\n"),
    ]


def check(body: bytes) -> None:
    """Read a body whole and in pieces."""
    size = 1 + sum(body[-2:]) % 40
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    if read_form(_BOUNDARY, [body]) != read_form(_BOUNDARY, pieces):
        raise AssertionError("the result depends on how the body is split")
