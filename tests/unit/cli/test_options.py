"""Options become inputs."""

from pathlib import Path

import pytest
import typer

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.options import (
    BuildOptions,
    CommonOptions,
    TransferOptions,
    parse_pairs,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import (
    ModelContainerPackageInput,
    ModelPackageTransferInput,
)

ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"


def refused(option: str, text: str, environ: dict[str, str] | None) -> InvalidInputError:
    """Return the error for a text."""
    with pytest.raises(InvalidInputError) as raised:
        parse_pairs(option, [text], environ)
    return raised.value


def test_a_pair_is_split_at_its_first_equals_sign() -> None:
    """A value may contain more of them, or be empty."""
    assert {"A": "b=c", "D": ""} == parse_pairs("--build-arg", ["A=b=c", "D="], {})


def test_the_value_of_a_bare_name_is_read_from_the_environment() -> None:
    """So a secret need not be typed."""
    assert {"TOKEN": "s3cret"} == parse_pairs("--build-arg", ["TOKEN"], {"TOKEN": "s3cret"})


def test_the_last_of_two_wins() -> None:
    """As with `docker build`."""
    assert {"A": "2"} == parse_pairs("--build-arg", ["A=1", "A=2"], {})


def test_a_bare_name_that_the_environment_does_not_have_is_refused() -> None:
    """An empty value would be a surprise later."""
    error = refused("--build-arg", "TOKEN", {})

    assert "--build-arg TOKEN: no value is given, and the environment has none" == error.message


def test_a_pair_without_a_name_is_refused_without_its_value() -> None:
    """The value may be a secret."""
    assert "--build-arg needs NAME=VALUE or NAME" == refused("--build-arg", "=s3cret", {}).message


def test_a_label_needs_its_value() -> None:
    """The environment has no labels."""
    assert "--label needs NAME=VALUE" == refused("--label", "maintainer", None).message


def test_build_options_become_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of them."""
    monkeypatch.setenv("TOKEN", "s3cret")
    options = BuildOptions(
        name="a/b",
        tag="1.0",
        dockerfile="deploy/Dockerfile",
        build_arg=["X=1", "TOKEN"],
        target="final",
        platform="linux/arm64",
        label=["maintainer=me"],
        no_cache=True,
        compression="zstd",
        verify=False,
    )

    assert ModelContainerPackageInput(
        container_name="a/b",
        image_tag="1.0",
        build_context="ctx",
        dockerfile_path="deploy/Dockerfile",
        build_args={"X": "1", "TOKEN": "s3cret"},
        target="final",
        platform="linux/arm64",
        labels={"maintainer": "me"},
        no_cache=True,
        compression="zstd",
        verify_checksum=False,
        correlation_id="c-1",
    ) == options.request("ctx", "c-1")


def test_a_wrong_option_is_a_validation_error() -> None:
    """It names the field."""
    with pytest.raises(DeploymentSenderError, match="image_tag"):
        BuildOptions(name="a", tag="-1").request("ctx")


def test_transfer_options_become_the_input() -> None:
    """Every one of them."""
    assert ModelPackageTransferInput(
        package_id=ID,
        remote_receiver_url="http://edge:8001",
        verify_checksum=True,
        wait_for="running",
        any_platform=True,
        transfer_timeout_seconds=60,
        correlation_id="c-1",
    ) == TransferOptions(wait_for="running", any_platform=True, transfer_timeout=60).request(
        ID, "http://edge:8001", verify=True, correlation_id="c-1"
    )


def test_without_a_status_a_transfer_waits_for_the_receivers_last() -> None:
    """That is running, if the receiver starts containers."""
    assert TransferOptions().request(ID, "http://edge:8001").wait_for is None


def test_options_after_the_command_join_those_before_it() -> None:
    """A flag given anywhere is on."""
    outer = CommonOptions(package_dir=Path("/outer"), json=True)

    assert CommonOptions(package_dir=Path("/outer"), json=True, quiet=True) == CommonOptions(quiet=True).over(outer)
    assert outer == CommonOptions().over(outer)


def test_a_folder_is_given_before_the_command_or_after_it() -> None:
    """Not in both places: one of them would be ignored."""
    with pytest.raises(typer.BadParameter, match="--package-dir is given before the command and after it"):
        CommonOptions(package_dir=Path("/inner")).over(CommonOptions(package_dir=Path("/outer")))
