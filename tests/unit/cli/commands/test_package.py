"""`deployment-sender package`."""

import re
from typing import TYPE_CHECKING

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelContainerPackageOutput

if TYPE_CHECKING:
    from ..conftest import CommandLine


def test_the_package_is_described_for_people(cli: "CommandLine") -> None:
    """Id, image, platform, file, size, checksum and times are on stdout."""
    printed = cli.run("package", cli.context, "--name", "a", "--tag", "1")

    assert 0 == printed.code
    names = [line.split()[0] for line in printed.out.splitlines()]
    assert ["package", "image", "platform", "file", "size", "BLAKE3", "build", "export"] == names
    assert re.search(r"^BLAKE3 +[0-9a-f]{64}$", printed.out, re.MULTILINE)


def test_its_steps_are_on_stderr(cli: "CommandLine") -> None:
    """There are two lines, and no build log."""
    printed = cli.run("package", cli.context, "--name", "a", "--tag", "1")

    assert re.fullmatch(r"packaging a:1 \.\.\.\npackaged a:1 in \d+ ms\n", printed.err)


def test_the_output_is_a_document_for_programs(cli: "CommandLine") -> None:
    """It has every field of the model."""
    document = cli.document("package", cli.context, "--name", "a", "--tag", "1", "--correlation-id", "c-1")

    assert set(ModelContainerPackageOutput.model_fields) == set(document)
    assert (True, "c-1") == (document["success"], document["correlation_id"])


def test_its_options_reach_the_engine(cli: "CommandLine") -> None:
    """Every one of them."""
    cli.run("package", cli.context, "--name", "a", "--tag", "1", "--build-arg", "X=1", "--no-cache", "--label", "l=m")
    (request,) = cli.engine.requests

    assert ({"X": "1"}, True, {"l": "m"}) == (request.build_args, request.no_cache, request.labels)


def test_a_build_that_fails_is_an_error(cli: "CommandLine") -> None:
    """Code, message and recovery are on stderr, nothing on stdout, and the exit code is 1."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    printed = cli.run("package", cli.context, "--name", "a", "--tag", "1")

    assert (1, "") == (printed.code, printed.out)
    assert "error: BUILD_FAILED: no such base image\nwhat to do: " in printed.err


def test_a_build_that_fails_is_a_document_for_programs(cli: "CommandLine") -> None:
    """It has the same fields as a success."""
    cli.engine.fail("build", ErrorCode.BUILD_FAILED, "no such base image")
    document = cli.document("package", cli.context, "--name", "a", "--tag", "1")

    assert (False, "BUILD_FAILED") == (document["success"], document["error_code"])


def test_a_wrong_name_is_a_mistake(cli: "CommandLine") -> None:
    """The exit code is 2, and nothing is built."""
    printed = cli.run("package", cli.context, "--name", "A", "--tag", "1")

    assert (2, []) == (printed.code, cli.engine.calls)


def test_a_secret_build_argument_is_not_printed(cli: "CommandLine") -> None:
    """Not even if it is wrong."""
    printed = cli.run("package", cli.context, "--name", "a", "--tag", "1", "--build-arg", "X=s3cret\n\0", "--json")

    assert 2 == printed.code
    assert "s3cret" not in printed.out + printed.err
