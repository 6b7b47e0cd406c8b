"""The signature: what it covers, its header, and what makes it invalid."""

import dataclasses
import hashlib
import hmac
import json
import random
import re
import string
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    Credentials,
    SignatureError,
    SignedRequest,
    new_nonce,
    parse_authorization,
    sign,
    verify,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import split_signing_key

DOCS = Path(__file__).parents[3] / "docs" / "receiver-protocol.md"

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_760_000_000
NONCE = "AAAAAAAAAAAAAAAAAAAAAA"
FORM = UploadFields(
    package_id="5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10",
    checksum="ab" * 32,
    container_name="hello",
    image_tag="1.0",
    verify_checksum=True,
    correlation_id="deploy-001",
    compression="gzip",
    image_id="sha256:" + "cd" * 32,
    platform="linux/arm64",
)
UPLOAD = SignedRequest.for_upload("Receiver:8001", "/deploy", FORM, 12345)


def signed(request: SignedRequest = UPLOAD, *, key_id: str = "main", now: int = NOW, nonce: str = NONCE) -> Credentials:
    """Sign and read back."""
    return parse_authorization(sign(key_id, SECRET, request, now=now, nonce=nonce))


def test_a_signed_request_verifies() -> None:
    """The round trip through the header holds."""
    verify(signed(), SECRET, UPLOAD, now=NOW)


def test_the_header_has_what_the_receiver_needs_before_the_body() -> None:
    """Key id, time, nonce and size can be read from the header."""
    credentials = signed()

    assert ("main", NOW, NONCE, 12345) == (
        credentials.key_id,
        credentials.time,
        credentials.nonce,
        credentials.size_bytes,
    )


def test_every_field_of_an_upload_is_signed() -> None:
    """A field that is added to the form must be added to the signature."""
    names = {field.name for field in dataclasses.fields(SignedRequest)}

    assert names >= set(UploadFields.model_fields)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(SignedRequest)])
def test_any_changed_field_breaks_it(name: str) -> None:
    """No field can be changed, emptied or lengthened."""
    for value in ("", "x", getattr(UPLOAD, name) + "0"):
        with pytest.raises(SignatureError):
            verify(signed(), SECRET, dataclasses.replace(UPLOAD, **{name: value}), now=NOW)


@pytest.mark.parametrize(
    "change", [{"key_id": "other"}, {"time": NOW + 1}, {"nonce": NONCE + "A"}, {"signature": "0" * 64}]
)
def test_any_changed_credential_breaks_it(change: dict[str, str | int]) -> None:
    """Key id, time and nonce are signed too."""
    with pytest.raises(SignatureError):
        verify(dataclasses.replace(signed(), **change), SECRET, UPLOAD, now=NOW)  # type: ignore[arg-type]


def test_another_key_breaks_it() -> None:
    """Only the key that signed verifies."""
    with pytest.raises(SignatureError):
        verify(signed(), SECRET[::-1], UPLOAD, now=NOW)


def test_random_values_never_slide_from_one_field_into_the_next() -> None:
    """Two requests have the same signature only if they are the same."""
    rng = random.Random(7)
    alphabet = string.ascii_letters + string.digits + "=/:. "
    names = [field.name for field in dataclasses.fields(SignedRequest)]
    seen: dict[str, SignedRequest] = {}
    for _ in range(2000):
        text = "".join(rng.choices(alphabet, k=12))
        cuts = sorted(rng.choices(range(13), k=len(names) - 1))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, 12], strict=True)]
        request = SignedRequest(**dict(zip(names, parts, strict=True)))
        signature = sign("main", SECRET, request, now=NOW, nonce=NONCE)
        assert request == seen.setdefault(signature.rpartition("signature")[2], request)


@pytest.mark.parametrize("value", ["a\nsize=1", "a\r", "\x7f", "é", "\x00"])
def test_a_character_that_could_end_a_line_cannot_be_signed(value: str) -> None:
    """Only printable ASCII can be signed."""
    with pytest.raises(SignatureError, match="printable ASCII"):
        signed(dataclasses.replace(UPLOAD, container_name=value))


def test_a_value_that_cannot_be_signed_does_not_verify() -> None:
    """A received value that cannot have been signed is a wrong signature."""
    with pytest.raises(SignatureError, match="does not match"):
        verify(signed(), SECRET, dataclasses.replace(UPLOAD, path="/deploy\n"), now=NOW)


@pytest.mark.parametrize("seconds", [-ALLOWED_CLOCK_SKEW_SECONDS, 0, ALLOWED_CLOCK_SKEW_SECONDS])
def test_clocks_may_differ_a_little(seconds: int) -> None:
    """The allowed skew holds in both directions, its ends included."""
    verify(signed(), SECRET, UPLOAD, now=NOW + seconds)


@pytest.mark.parametrize("seconds", [-ALLOWED_CLOCK_SKEW_SECONDS - 1, ALLOWED_CLOCK_SKEW_SECONDS + 1])
def test_a_stale_or_early_signature_is_refused(seconds: int) -> None:
    """Beyond the allowed skew the message names the clocks."""
    with pytest.raises(SignatureError, match="clocks of both machines"):
        verify(signed(), SECRET, UPLOAD, now=NOW + seconds)


def test_a_get_is_signed_with_empty_fields() -> None:
    """It has no form and no size."""
    request = SignedRequest.for_get("Receiver:8001", "/deployments/d-1")

    verify(signed(request), SECRET, SignedRequest("GET", "receiver:8001", "/deployments/d-1"), now=NOW)


def test_the_case_of_the_host_does_not_matter() -> None:
    """Host names are compared in lower case."""
    assert UPLOAD == SignedRequest.for_upload("receiver:8001", "/deploy", FORM, 12345)


def test_nonces_differ_and_fit_the_header() -> None:
    """A new nonce has the right form."""
    nonces = {new_nonce() for _ in range(100)}

    assert 100 == len(nonces)
    assert nonces == {signed(nonce=nonce).nonce for nonce in nonces}


def test_the_scheme_is_read_in_any_case_and_parameters_in_any_order() -> None:
    """RFC 9110: schemes are case-insensitive and parameters have no order."""
    header = sign("main", SECRET, UPLOAD, now=NOW, nonce=NONCE)
    scheme, _, rest = header.partition(" ")

    assert signed() == parse_authorization(f"{scheme.lower()} {','.join(reversed(rest.split(', ')))}")


@pytest.mark.parametrize("header", ["", "Bearer abc", "Deployment-HMAC-SHA2567 x", "Basic key_id=main"])
def test_another_scheme_is_not_signed(header: str) -> None:
    """Another scheme counts as unsigned, and the message says how to sign."""
    with pytest.raises(SignatureError, match="must be signed"):
        parse_authorization(header)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('key_id="main", ', ""),
        ('key_id="main"', 'key_id="main", key_id="main"'),
        ('key_id="main"', "key_id=main"),
        ('key_id="main"', 'key_id=""'),
        ('key_id="main"', 'key_id="ma in"'),
        ('key_id="main"', 'key_id="main", more="1"'),
        (f'time="{NOW}"', 'time="-1"'),
        (f'time="{NOW}"', 'time="\u0661"'),
        ('size="12345"', 'size="1e3"'),
        ('size="12345"', f'size="{"9" * 19}"'),
        (NONCE, "short"),
        ('signature="', 'signature="A'),
        (", ", ";"),
    ],
)
def test_a_header_that_is_not_exactly_right_is_refused(old: str, new: str) -> None:
    """Missing, double, unquoted, unknown and malformed parameters are refused."""
    header = sign("main", SECRET, UPLOAD, now=NOW, nonce=NONCE)

    with pytest.raises(SignatureError, match="Authorization header"):
        parse_authorization(header.replace(old, new))


def test_the_worked_example_of_the_docs_is_true() -> None:
    """The key, the signed lines and the header in docs/receiver-protocol.md belong together."""
    text = DOCS.read_text(encoding="utf-8")
    header = re.sub(r"\s+", " ", _example(text, "header")).strip()
    form = UploadFields.read(json.loads(_example(text, "fields")))
    request = SignedRequest.for_upload("receiver.example:8001", "/deploy", form, 600_000_000)
    key_id, secret = split_signing_key(_example(text, "key").strip())
    nonce = parse_authorization(header.removeprefix("Authorization: ")).nonce

    by_hand = hmac.new(secret, _example(text, "lines").encode(), hashlib.sha256).hexdigest()

    assert header == "Authorization: " + sign(key_id, secret, request, now=NOW, nonce=nonce)
    assert header.endswith(f'signature="{by_hand}"')


def _example(text: str, name: str) -> str:
    """Cut one code block out of the docs: the one after the comment that names it."""
    return text.partition(f"<!-- example: {name} -->")[2].split("```", 2)[1].partition("\n")[2]
