"""The boundary of a form: read from a header, and searched for in raw bytes."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.boundary import BoundaryScanner, boundary_of

_DELIMITER = b"\r\n--B-"


def test_the_boundary_is_in_the_content_type() -> None:
    """Quoted or not, whatever the case of the type."""
    assert b"B-" == boundary_of('Multipart/Form-Data; charset=utf-8; boundary="B-"')


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain; boundary=x",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
def test_another_content_type_is_refused(content_type: str | None) -> None:
    """And one without a boundary of 1 to 70 characters."""
    with pytest.raises(InvalidInputError):
        boundary_of(content_type)


@pytest.mark.parametrize("cut", range(len(_DELIMITER) + 1))
def test_a_boundary_is_found_across_pieces(cut: int) -> None:
    """Wherever it is cut, and with bytes around it."""
    scanner, data = BoundaryScanner(b"B-"), b"before" + _DELIMITER + b"after"
    first, second = bytearray(data[: 6 + cut]), bytearray(data[6 + cut :])
    with pytest.raises(InvalidInputError, match="the form's boundary is inside the package"):  # noqa: PT012 - either
        scanner.check(first, len(first))
        scanner.check(second, len(second))


def test_bytes_beyond_the_filled_part_of_a_buffer_do_not_count() -> None:
    """They are those of an earlier piece."""
    buffer = bytearray(b"new" + _DELIMITER)
    BoundaryScanner(b"B-").check(buffer, 3)


@pytest.mark.parametrize("length", range(1, len(_DELIMITER)))
def test_the_beginning_of_a_boundary_is_recognised(length: int) -> None:
    """Each of its beginnings, at the end of what was seen."""
    scanner = BoundaryScanner(b"B-")
    scanner.remember(b"package" + _DELIMITER[:length])
    assert scanner.is_inside_boundary()
    scanner.remember(b"x")
    assert not scanner.is_inside_boundary()


@pytest.mark.parametrize("cut", range(3, 11))
def test_the_bytes_after_the_form_are_found_wherever_its_end_is_split(cut: int) -> None:
    """The end is the delimiter and two more hyphens."""
    scanner, data = BoundaryScanner(b"B-"), b"xyz" + _DELIMITER + b"--after"
    scanner.remember(data[:cut])
    assert b"after" == scanner.after_end(data[cut:])
