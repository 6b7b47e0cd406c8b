"""The OCI reference grammar and the other field types, at their edges."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelContainerPackageInput,
    ModelKafkaPublishInput,
    ModelPackageTransferInput,
)

PACKAGE_ID = "6f1e0e0a-8d5b-4a53-9c3e-0d4f7c6f2b11"


def _package(**fields: object) -> ModelContainerPackageInput:
    return ModelContainerPackageInput.read(
        {"container_name": "hello", "image_tag": "1.0", "build_context": "."} | fields
    )


def _refused(**fields: object) -> str:
    with pytest.raises(DeploymentSenderError) as caught:
        _package(**fields)
    assert ErrorCode.VALIDATION_ERROR is caught.value.code
    return caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        "hello",
        "omninode-bridge-orchestrator",
        "a.b_c__d---e",
        "library/hello",
        "localhost/hello",
        "localhost:5000/hello",
        "registry.example.com:5000/team/hello",
        "[2001:db8::1]:5000/hello",
        "Registry/hello",
        "a" * 237,
        "a/" + "b" * 243,
        "r.x/" + "a" * 251,
    ],
)
def test_names_that_the_grammar_allows(name: str) -> None:
    """Names with registry hosts and paths are accepted."""
    assert name == _package(container_name=name).container_name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "a//b",
        "a___b",
        "a/",
        "/a",
        "-a",
        "a-",
        "a:b",
        "a b",
        "é",
        "a\n",
        "x.y/",
        "b.c/A",
        "a" * 238,
        "a/" + "b" * 244,
        "r.x/" + "a" * 252,
        "0" * 64,
    ],
)
def test_names_that_the_grammar_refuses(name: str) -> None:
    """Other names are refused, and the message names the field."""
    assert _refused(container_name=name).startswith("ModelContainerPackageInput: container_name")


@pytest.mark.parametrize("tag", ["1.0", "_", "a" * 128, "v1.0-rc.1_x"])
def test_tags_that_the_grammar_allows(tag: str) -> None:
    """A tag has up to 128 word characters, dots and dashes."""
    assert tag == _package(image_tag=tag).image_tag


@pytest.mark.parametrize("tag", ["", "1.0\n", "é", "１", "a" * 129, "-a", ".a", "a b", "a/b"])
def test_tags_that_the_grammar_refuses(tag: str) -> None:
    """A tag has ASCII characters only, and is matched whole."""
    assert "image_tag" in _refused(image_tag=tag)


@pytest.mark.parametrize(
    "args",
    [
        {"": "x"},
        {"A=B": "x"},
        {"A\0": "x"},
        {"A": "secret-value\0"},
        {"A": "secret-value" * 20_000},
        {"A": 5},
        {"A": None},
        ["secret-value"],
    ],
)
def test_build_args_are_refused_without_their_values(args: object) -> None:
    """Values are never in a message, as a build argument may be a secret."""
    message = _refused(build_args=args)

    assert "build_args" in message
    assert "secret-value" not in message


@pytest.mark.parametrize("field", ["dockerfile_path", "build_context"])
def test_a_path_holds_no_nul_and_is_not_empty(field: str) -> None:
    """A build argument longer than the kernel allows is refused."""
    assert field in _refused(**{field: "a\0b"})
    assert field in _refused(**{field: ""})


def test_an_unknown_key_is_refused() -> None:
    """An unknown key is refused, so that a typing error is noticed."""
    assert "dockerfile: Extra inputs are not permitted" in _refused(dockerfile="Dockerfile")


@pytest.mark.parametrize("platform", ["linux", "linux/amd64", "linux/arm/v7"])
def test_platforms(platform: str) -> None:
    """A platform has an os, an architecture and a variant."""
    assert platform == _package(platform=platform).platform


@pytest.mark.parametrize(
    "package_id", ["", "../../etc", "x", PACKAGE_ID.upper(), PACKAGE_ID.replace("-", ""), PACKAGE_ID + "\n"]
)
def test_a_package_id_is_a_uuid_as_it_was_returned(package_id: str) -> None:
    """Any other package id is refused, as it becomes the name of a folder."""
    with pytest.raises(DeploymentSenderError, match="a package id is a UUID"):
        ModelPackageTransferInput(package_id=package_id)


@pytest.mark.parametrize("checksum", ["", "x" * 64, "A" * 64, "a" * 63])
def test_a_checksum_is_what_b3sum_prints(checksum: str) -> None:
    """A checksum has 64 lower-case hex digits."""
    with pytest.raises(DeploymentSenderError, match="b3sum"):
        ModelPackageTransferInput(package_id=PACKAGE_ID, package_checksum=checksum)


@pytest.mark.parametrize("url", ["http://edge:8001", "https://edge.example/base", "http://[::1]:8001/deploy"])
def test_receiver_urls(url: str) -> None:
    """URLs with ports and paths are accepted."""
    assert url == ModelPackageTransferInput(package_id=PACKAGE_ID, remote_receiver_url=url).remote_receiver_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "edge:8001",
        "ftp://edge",
        "http://",
        "http://edge:0",
        "http://edge:99999",
        "http://[::1",
        "http://me:secret@edge",
        "http://edge/?a=b",
        "http://edge/#a",
        "http://edge/a b",
        "http://édge",
    ],
)
def test_receiver_urls_that_are_refused(url: str) -> None:
    """Only http and https without user info and query; the URL is never in the message."""
    with pytest.raises(DeploymentSenderError, match="remote_receiver_url") as caught:
        ModelPackageTransferInput(package_id=PACKAGE_ID, remote_receiver_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("correlation_id", ["", " x", "x ", "a\nb", "é", "x" * 129])
def test_a_correlation_id_is_short_and_printable(correlation_id: str) -> None:
    """Others are refused, as a correlation id goes into headers, logs and events."""
    with pytest.raises(DeploymentSenderError, match="correlation_id"):
        ModelKafkaPublishInput.read({"event_type": "BUILD_STARTED", "correlation_id": correlation_id})
