"""Forms: read the same wherever they are split, and refused with one type of error."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.boundary import boundary_of
from support.http.forms import read_form, written_form

# By the grammar of RFC 2046 section 5.1.1, and short ones, which a package's bytes come close to.
_boundaries = st.text(string.ascii_letters + string.digits + "'()+_,-./:=?", min_size=1, max_size=70) | st.sampled_from(
    ["B", "-", "--", "B-", "-B"]
)
_names = st.text(string.ascii_letters + string.digits + "_é ", min_size=1, max_size=10).filter(
    lambda name: name != "package"
)
_values = st.text(max_size=30)


@st.composite
def _pieces(draw: st.DrawFn, data: bytes, *, most: int = 8) -> list[bytes]:
    """Return the bytes cut in some places, maybe twice in one."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _packages(boundary: str) -> st.SearchStrategy[bytes]:
    """Return bytes that come close to the boundary and do not hold it."""
    mark = b"\r\n--" + boundary.encode()
    parts = st.sampled_from([mark[:n] for n in range(1, len(mark))] + [b"\r", b"\n", b"-", b"\r\n--", b"x", b"\0"])
    return st.lists(parts | st.binary(max_size=20), max_size=8).map(
        lambda found: b"".join(found).replace(mark[2:], b"").replace(mark[2:], b"")
    )


@given(st.data(), _boundaries, st.dictionaries(_names, _values, max_size=4))
def test_a_form_is_the_same_wherever_it_is_split(data: st.DataObject, boundary: str, fields: dict[str, str]) -> None:
    """Fields and bytes are read as they were written."""
    mark = f"--{boundary}"
    fields = {name: value for name, value in fields.items() if mark not in value}
    package = data.draw(_packages(boundary).filter(lambda found: mark.encode() not in found))
    form = written_form(boundary.encode(), fields, package)

    assert read_form(boundary.encode(), data.draw(_pieces(form))) == (fields, package)


@settings(max_examples=25)
@given(st.data(), _boundaries, st.dictionaries(_names, _values, max_size=2))
def test_a_form_is_the_same_at_every_split(data: st.DataObject, boundary: str, fields: dict[str, str]) -> None:
    """Cut in two at each byte, and byte by byte."""
    mark = f"--{boundary}"
    fields = {name: value for name, value in fields.items() if mark not in value}
    package = data.draw(_packages(boundary).filter(lambda found: mark.encode() not in found))
    form = written_form(boundary.encode(), fields, package)

    assert [(fields, package)] * (len(form) + 1) == [
        read_form(boundary.encode(), (form[:at], form[at:])) for at in range(len(form) + 1)
    ]
    assert read_form(boundary.encode(), (bytes([byte]) for byte in form)) == (fields, package)


_CRUMBS = [
    b"--B",
    b"--B\r\n",
    b"--B--",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b"--",
    b"Content-Disposition: form-data; name=package",
    b'Content-Disposition: form-data; name="a"; filename=x',
    b"content-disposition: form-data; name*=utf-8''a",
    b'Content-Disposition: form-data; name="a',
    b"Content-Disposition:",
    b"Content-Type: text/plain",
    b": ",
    b";",
    b"\0",
    b"\xff",
    b"x" * 5000,
]


@st.composite
def _hostile(draw: st.DrawFn) -> bytes:
    """Return a form with insertions and deletions, or a random series of the pieces of forms."""
    if draw(st.booleans()):
        return b"".join(draw(st.lists(st.sampled_from(_CRUMBS) | st.binary(max_size=8), max_size=12)))
    body = written_form(b"B", {"a": "1", "b": "2"}, b"bytes")
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
        body = body[:start] + draw(st.sampled_from([b"", *_CRUMBS])) + body[end if draw(st.booleans()) else start :]
    return body


@settings(max_examples=600)
@given(st.data(), _hostile())
@example(None, b"\r\n: " + written_form(b"B", {}, b""))
def test_a_hostile_form_is_refused_or_read_in_one_way(data: st.DataObject | None, body: bytes) -> None:
    """No other error is raised, and the result does not depend on how the body is split."""
    whole = read_form(b"B", [body])
    parts = read_form(b"B", data.draw(_pieces(body)) if data else [body[:2], body[2:]])

    assert whole == parts


@pytest.mark.parametrize(("fields", "package"), [({"a": "--B--1"}, b"bytes"), ({"a": "--B"}, b""), ({}, b"--B--1")])
def test_a_part_that_begins_with_the_boundary_is_refused(fields: dict[str, str], package: bytes) -> None:
    """Wherever it is split: with the empty line before it, it is a boundary."""
    form = written_form(b"B", fields, package)

    assert [None] * len(form) == [read_form(b"B", [form[:at], form[at:]]) for at in range(len(form))]


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=70))
def test_any_bytes_are_refused_or_read(body: bytes, boundary: bytes) -> None:
    """With any boundary that a header could name."""
    read_form(boundary, [body])
    read_form(boundary, [b"--" + boundary + b"\r\n" + body])


@given(
    st.text(st.characters(max_codepoint=0xFF), max_size=60)
    | st.text(st.characters(max_codepoint=0xFF), max_size=80).map(lambda text: f"multipart/form-data; boundary={text}")
    | st.text("boundary=\"; \\*'=0", max_size=40).map(lambda text: f"multipart/form-data;{text}")
)
def test_a_content_type_names_a_boundary_or_is_refused(content_type: str) -> None:
    """HTTP headers hold Latin-1."""
    try:
        boundary = boundary_of(content_type)
    except InvalidInputError:
        return
    assert 1 <= len(boundary) <= 70
