"""Forms, read as they arrive."""

from collections.abc import AsyncGenerator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.form import UploadForm
from support.http.forms import Kept

_FILE = b"\r\n--BB and -- more\r\n--B"


def part(name: str, value: bytes, more: str = "") -> bytes:
    """Return a part of a form with the boundary `B-`."""
    return f'--B-\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def package(value: bytes = _FILE) -> bytes:
    """Return the package's part."""
    return part("package", value, '; filename="/etc/x"\r\nContent-Type: application/octet-stream')


END = b"--B---\r\n"


async def read(*chunks: bytes) -> tuple[dict[str, str], bytes]:
    """Read a form that arrives in these chunks."""

    async def body() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield chunk

    form = UploadForm(b"B-", body())
    fields = await form.fields()
    kept = Kept()
    await form.file(kept)
    return fields, bytes(kept.content)


async def refused(*chunks: bytes) -> str:
    """Read a form that is wrong; return the error's message."""
    with pytest.raises(InvalidInputError) as caught:
        await read(*chunks)
    return caught.value.message


async def test_fields_and_file_are_read() -> None:
    """In one chunk."""
    form = part("a", b"1") + part("b", "é".encode()) + package() + END
    assert ({"a": "1", "b": "é"}, _FILE) == await read(form)


async def test_it_does_not_matter_where_the_body_is_split() -> None:
    """Cut in two at every byte."""
    form = part("a", b"1") + package() + END
    for cut in range(len(form) + 1):
        assert ({"a": "1"}, _FILE) == await read(form[:cut], form[cut:]), cut


async def test_a_body_may_come_byte_by_byte() -> None:
    """With empty chunks between."""
    form = part("a", b"1") + package() + END
    chunks = [chunk for byte in form for chunk in (bytes([byte]), b"")]
    assert ({"a": "1"}, _FILE) == await read(*chunks)


async def test_a_body_that_is_cut_anywhere_is_refused() -> None:
    """Before the last boundary is complete."""
    form = part("a", b"1") + package() + END
    for length in range(len(form) - len(b"\r\n")):
        assert await refused(form[:length]), length


async def test_an_empty_package_is_a_package() -> None:
    """Of no bytes."""
    assert ({"a": "1"}, b"") == await read(part("a", b"1") + package(b"") + END)


async def test_nothing_follows_the_package() -> None:
    """Neither a field nor a second package."""
    expected = "a part follows the package: the fields come before it, and it comes once"
    assert expected == await refused(package() + part("a", b"1") + END)
    assert expected == await refused(package() + package() + END)


@pytest.mark.parametrize("end", [b"--B---", END])
async def test_a_form_ends_with_its_last_boundary(end: bytes) -> None:
    """With or without the end of that line."""
    assert ({}, b"x") == await read(package(b"x") + end)


@pytest.mark.parametrize("after", [b"x", b"\n", b"\r\n\r\n", b"\r\n" + END, bytes(4097)])
async def test_bytes_after_the_last_boundary_are_refused(after: bytes) -> None:
    """Another reader could find another form there; the split of the body does not matter."""
    expected = "the request goes on after the form's last boundary"
    whole = package(b"x") + END + after
    assert expected == await refused(whole)
    assert expected == await refused(whole[: -len(after)], after)
    assert expected == await refused(*(whole[at : at + 1] for at in range(len(whole))))


async def test_a_form_without_a_package_is_refused() -> None:
    """Also an empty form, and one that goes on after its end."""
    expected = "the form has no part named package after its fields"
    assert expected == await refused(part("a", b"1") + END)
    assert expected == await refused(END)
    assert expected == await refused(part("a", b"1") + END, b"more", b"and more")


async def test_a_file_of_another_name_is_refused() -> None:
    """The package's part is named package."""
    assert "the file part is not named package" == await refused(part("file", b"", '; filename="f"'))


async def test_a_field_comes_once() -> None:
    """Two of one name could be understood in two ways."""
    assert "the field 'a' comes twice" == await refused(part("a", b"1") + part("a", b"2") + END)


async def test_a_form_has_at_most_32_fields() -> None:
    """The limit is in limits.py."""
    fields = [part(f"f{number}", b"") for number in range(33)]
    assert 32 == len((await read(*fields[:32], package(), END))[0])
    assert "the form has more than 32 fields" == await refused(*fields, package(), END)


async def test_a_field_has_at_most_4096_bytes() -> None:
    """However it is split."""
    assert ({"a": "x" * 4096}, b"") == await read(part("a", b"x" * 4096) + package(b"") + END)
    assert "a field is longer than 4096 bytes" == await refused(part("a", b"x" * 4097)[:-9], b"x" * 9)


async def test_a_field_is_text() -> None:
    """In UTF-8."""
    assert "the field 'a' is not UTF-8" == await refused(part("a", b"\xff") + package() + END)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Disposition: form-data\r\n",
        b'Content-Disposition: form-data; name=""\r\n',
        b'Content-Disposition: attachment; name="a"\r\n',
    ],
)
async def test_a_part_has_a_name(head: bytes) -> None:
    """In a Content-Disposition of the right kind."""
    expected = "a part has no Content-Disposition: form-data with a name"
    assert expected == await refused(b"--B-\r\n" + head + b"\r\n1\r\n" + END)


@pytest.mark.parametrize(
    "body",
    [
        b"no form at all",
        b"\r\n" + package() + END,
        b'--B-\r\nA: "' + b"x" * 5000,
        b"--B-\r\n" + b"A: b\r\n" * 9 + b"\r\n",
        b"--B-\r\n\x00: 1",
    ],
)
async def test_a_body_that_is_not_a_form_is_refused(body: bytes) -> None:
    """Also one with headers that are too long or too many."""
    assert (await refused(body)).startswith("the form cannot be read: ")
