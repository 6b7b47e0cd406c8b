"""Forms that no browser sends: 400 or 413, nothing stored, memory flat; and some that are correct."""

import gzip
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from blake3 import blake3

from support.archives.archives import image_archive, layer
from support.eventually import eventually_sync
from support.http.wire import BOUNDARY, END, Reply, ask, connected, field, heard, package, request
from support.receiver.in_process import form
from support.receiver.target import Target

PACKAGE = gzip.compress(image_archive("legacy"), mtime=0)
FIELDS = b"".join(field(name, value) for name, value in form(PACKAGE).items())
WHOLE = FIELDS + package(PACKAGE) + END
NEARLY = b"\r\n--%b" % BOUNDARY[:-1]
LARGE_BYTES = 8 << 20
REFUSED = (400, "VALIDATION_ERROR")
TOO_LARGE = (413, "PACKAGE_TOO_LARGE")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One receiver for all refused requests."""
    with Target(tmp_path_factory.mktemp("receiver") / "store") as target:
        yield target


@pytest.fixture
def target(process: Target) -> Iterator[Target]:
    """A receiver that must be unchanged after the test."""
    with process.unharmed():
        yield process


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A receiver that may store something."""
    with Target(tmp_path_factory.mktemp("receiver") / "store") as target:
        yield target


MALFORMED = {
    "100,000 fields": b"".join(field(f"f{number}", "") for number in range(100_000)) + package(PACKAGE) + END,
    "100,000 fields of one name": FIELDS + field("f", "") * 100_000 + package(PACKAGE) + END,
    "100,000 files": FIELDS + package(b"") * 100_000 + END,
    "100,000 parts without a name": (b"--%b\r\n\r\n\r\n" % BOUNDARY) * 100_000 + END,
    "100,000 headers of one part": FIELDS + package(PACKAGE, more=b"A: b\r\n" * 100_000) + END,
    "a header's huge value": FIELDS
    + package(PACKAGE, more=b"A: %b\r\n" % bytes(LARGE_BYTES).replace(b"\0", b"x"))
    + END,
    "a header's huge name": FIELDS
    + package(PACKAGE, more=b"%b: b\r\n" % bytes(LARGE_BYTES).replace(b"\0", b"x"))
    + END,
    "a header without an end": b"--%b\r\n%b" % (BOUNDARY, b"x" * LARGE_BYTES),
    "a huge name of a field": FIELDS + field("x" * LARGE_BYTES, "") + package(PACKAGE) + END,
    "a huge value of a field": FIELDS + field("f", "x" * LARGE_BYTES) + package(PACKAGE) + END,
    "a huge preamble": b"\r\n" + b"x" * LARGE_BYTES + b"\r\n" + WHOLE,
    "a huge epilogue": WHOLE + b"x" * LARGE_BYTES,
    "the file before the fields": package(PACKAGE) + FIELDS + END,
    "the file between the fields": field("f", "") + package(PACKAGE) + FIELDS + END,
    "the file twice": FIELDS + package(PACKAGE) + package(PACKAGE) + END,
    "a field twice": FIELDS + field("image_tag", "1.0") + package(PACKAGE) + END,
    "a field after the file": FIELDS + package(PACKAGE) + field("run", "true") + END,
    "no file": FIELDS + END,
    "a file of another name": FIELDS + package(PACKAGE).replace(b'"package"', b'"image"') + END,
    "no parts": END,
    "nothing": b"",
    "another boundary": WHOLE.replace(BOUNDARY, b"ANOTHER"),
    "no end": FIELDS + package(PACKAGE),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_not_a_form(target: Target, body: bytes) -> None:
    """Refused with 400."""
    assert REFUSED == ask(target.url, request("POST", "/deploy", body)).refusal


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "B" * 71,
        "multipart/form-data; boundary=" + "B" * 60_000,
        f"multipart/mixed; boundary={BOUNDARY.decode()}",
        f"application/json; boundary={BOUNDARY.decode()}",
        "application/x-www-form-urlencoded",
        "application/gzip",
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_content_type_that_is_not_a_form(target: Target, content_type: str | None) -> None:
    """Refused with 400, also without a boundary, or with one that is too long."""
    assert REFUSED == ask(target.url, request("POST", "/deploy", WHOLE, content_type)).refusal


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer-Encoding": "chunked"},
        {"Transfer-Encoding": "gzip", "Content-Length": None},
        {"Content-Length": f"{len(WHOLE)}, {len(WHOLE) + 1}"},
        {"Content-Length": f"{len(WHOLE)}\r\nContent-Length: {len(WHOLE) + 1}"},
        {"Content-Length": f"+{len(WHOLE)}"},
        {"Content-Length": "-1"},
        {"Content-Length": "9" * 30},
    ],
    ids=str,
)
def test_a_length_that_others_may_read_differently(target: Target, headers: dict[str, str | None]) -> None:
    """Refused with 400: a proxy on the way could see another request in it (RFC 9112 section 11.2)."""
    assert 400 == ask(target.url, request("POST", "/deploy", WHOLE, headers=headers)).status


def test_a_body_that_is_announced_too_large(target: Target) -> None:
    """Refused with 413 before any of it has arrived."""
    with connected(target.url) as connection:
        connection.sendall(request("POST", "/deploy", headers={"Content-Length": str(10**12)}))

        assert TOO_LARGE == heard(connection).refusal


def test_a_body_that_ends_at_any_byte(target: Target) -> None:
    """Refused with 400 unless its last boundary is complete."""
    lengths = range(len(WHOLE) - len(b"\r\n"))
    refusals = {length: ask(target.url, request("POST", "/deploy", WHOLE[:length])).refusal for length in lengths}

    assert dict.fromkeys(lengths, REFUSED) == refusals


def test_a_connection_that_is_cut_at_any_byte(target: Target) -> None:
    """Nothing is stored of it, not even if only the last newline is missing."""
    head = request("POST", "/deploy", WHOLE).removesuffix(WHOLE)
    for length in range(len(WHOLE)):
        before = target.counter("uploads_broken_off_total")
        with connected(target.url) as connection:
            connection.sendall(head + WHOLE[:length])
        assert eventually_sync(partial(_has_counted_more, target, before))


def _has_counted_more(target: Target, before: int) -> bool:
    return target.counter("uploads_broken_off_total") > before


@pytest.mark.parametrize("filename", ["/etc/x", "../../etc/x", "OUTSIDE/x", "x\\..\\..\\y", "", "x" * 4000])
def test_a_file_name_means_nothing(own: Target, tmp_path: Path, filename: str) -> None:
    """The package is stored as every other, and no file of that name is made."""
    fields = b"".join(field(name, value) for name, value in form(PACKAGE).items())
    body = fields + package(PACKAGE, filename.replace("OUTSIDE", str(tmp_path))) + END

    assert PACKAGE == own.kept(ask(own.url, request("POST", "/deploy", body)))
    assert ([], False) == (list(tmp_path.iterdir()), Path("/etc/x").exists())


def test_a_file_of_almost_boundaries_is_not_an_image(target: Target) -> None:
    """It is refused once it has been read, and other requests get their responses meanwhile."""
    assert (422, "VALIDATION_ERROR") == _in_halves(target, NEARLY * (LARGE_BYTES // len(NEARLY))).refusal


def test_an_image_of_almost_boundaries_is_stored_unchanged(own: Target) -> None:
    """Its checksum proves it, and other requests get their responses meanwhile."""
    image = image_archive("legacy", layers=[layer(file=NEARLY * (LARGE_BYTES // len(NEARLY)))])

    assert blake3(image).digest() == blake3(own.kept(_in_halves(own, image))).digest()


def _in_halves(target: Target, file: bytes) -> Reply:
    """Send a package; half-way, check that another request gets its response."""
    body = b"".join(field(name, value) for name, value in form(file).items()) + package(file) + END
    sent = request("POST", "/deploy", body)
    with connected(target.url) as connection:
        connection.sendall(sent[: len(sent) // 2])
        assert 200 == target.get("/healthz").status
        connection.sendall(sent[len(sent) // 2 :])
        return heard(connection)
