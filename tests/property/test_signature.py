"""Signatures: what was signed verifies, and nothing else does."""

import string
from dataclasses import fields, replace

from hypothesis import assume, given
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    Credentials,
    SignatureError,
    SignedRequest,
    parse_authorization,
    sign,
    verify,
)

_printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
_sizes = st.integers(0, 10**18 - 1)
_requests = st.builds(
    SignedRequest,
    **{field.name: _printable for field in fields(SignedRequest)} | {"size": _sizes.map(str)},
)
_secrets = st.binary(min_size=32, max_size=64)
_key_ids = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=64)
_times = st.integers(0, 10**12 - 1)
_nonces = st.text(string.ascii_letters + string.digits + "_-", min_size=16, max_size=64)
_skews = st.integers(-ALLOWED_CLOCK_SKEW_SECONDS, ALLOWED_CLOCK_SKEW_SECONDS)
_forms = st.builds(
    UploadFields,
    package_id=st.uuids().map(str),
    checksum=st.text("0123456789abcdef", min_size=64, max_size=64),
    container_name=st.sampled_from(["hello", "registry.example:5000/team/hello", "[::1]:80/a"]),
    image_tag=st.sampled_from(["1.0", "_", "v1-rc.2"]),
    verify_checksum=st.booleans(),
    correlation_id=st.none() | st.sampled_from(["deploy-001", "a=b;c d", '"\\']),
    compression=st.sampled_from([None, "gzip", "zstd", "none"]),
    image_id=st.none() | st.just("sha256:" + "cd" * 32),
)


def _verifies(credentials: Credentials, secret: bytes, request: SignedRequest, now: int) -> bool:
    try:
        verify(credentials, secret, request, now=now)
    except SignatureError:
        return False
    return True


def _reads(header: str) -> Credentials | None:
    try:
        return parse_authorization(header)
    except SignatureError:
        return None


@given(_key_ids, _secrets, _requests, st.tuples(_times, _skews), _nonces)
def test_what_was_signed_verifies(
    key_id: str, secret: bytes, request: SignedRequest, clocks: tuple[int, int], nonce: str
) -> None:
    """Whatever the values are, and within the clocks' skew."""
    now, skew = clocks
    credentials = parse_authorization(sign(key_id, secret, request, now=now, nonce=nonce))

    assert (key_id, now, nonce, request.size) == (
        credentials.key_id,
        credentials.time,
        credentials.nonce,
        str(credentials.size_bytes),
    )
    assert _verifies(credentials, secret, request, now + skew)


@given(_forms, _sizes)
def test_both_sides_sign_the_same_request(form: UploadFields, size_bytes: int) -> None:
    """The receiver reads text from the wire, and gets the sender's fields."""
    read = UploadFields.read(form.form())

    assert form == read
    assert SignedRequest.for_upload("Host:1", "/deploy", form, size_bytes) == SignedRequest.for_upload(
        "host:1", "/deploy", read, size_bytes
    )


@given(_requests, st.sampled_from([field.name for field in fields(SignedRequest)]), _printable, _secrets)
def test_no_field_can_be_changed(request: SignedRequest, name: str, value: str, secret: bytes) -> None:
    """With one field changed, no signature verifies."""
    assume(getattr(request, name) != value)
    credentials = parse_authorization(sign("main", secret, request, now=0, nonce="n" * 16))

    assert not _verifies(credentials, secret, replace(request, **{name: value}), 0)


@given(_requests, st.permutations([field.name for field in fields(SignedRequest)]), _secrets)
def test_values_do_not_slide_into_other_fields(request: SignedRequest, names: list[str], secret: bytes) -> None:
    """The same values under other names are another request."""
    values = [getattr(request, field.name) for field in fields(SignedRequest)]
    other = SignedRequest(**dict(zip(names, values, strict=True)))
    credentials = parse_authorization(sign("main", secret, request, now=0, nonce="n" * 16))

    assert _verifies(credentials, secret, other, 0) == (request == other)


@given(_requests, _secrets, _secrets)
def test_no_other_key_verifies(request: SignedRequest, secret: bytes, other: bytes) -> None:
    """Even under the same key id."""
    credentials = parse_authorization(sign("main", secret, request, now=0, nonce="n" * 16))

    # HMAC fills keys up with NULs (RFC 2104 section 2).
    assert _verifies(credentials, other, request, 0) == (secret.rstrip(b"\0") == other.rstrip(b"\0"))


@given(st.integers(), st.sampled_from([*string.printable, "é", ""]), st.booleans())
def test_no_character_of_the_header_can_be_changed(at: int, new: str, in_place: bool) -> None:
    """A header with one character changed, added or removed means the same, or is refused."""
    request, secret = SignedRequest("POST", "h", "/deploy", size="12345"), b"s" * 32
    header = sign("main", secret, request, now=1_760_000_000, nonce="n" * 16)
    at %= len(header)

    credentials = _reads(header[:at] + new + header[at + in_place :])

    # As the receiver does it: the size is the header's, which is compared with the file later.
    assert credentials in {None, parse_authorization(header)} or not _verifies(
        credentials, secret, replace(request, size=str(credentials.size_bytes)), 1_760_000_000
    )


@given(
    st.text(max_size=80)
    | st.lists(
        st.tuples(st.sampled_from(["key_id", "time", "nonce", "size", "signature", "x"]), _printable).map(
            lambda pair: f'{pair[0]}="{pair[1]}"'
        ),
        max_size=6,
    ).map(lambda parts: f"Deployment-HMAC-SHA256 {', '.join(parts)}")
)
def test_a_header_is_read_or_refused(header: str) -> None:
    """It raises nothing else, whatever the header holds."""
    credentials = _reads(header)

    assert credentials is None or _verifies(credentials, b"s" * 32, SignedRequest("GET", "h", "/"), 0) is False
