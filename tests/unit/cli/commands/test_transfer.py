"""`deployment-sender transfer`."""

from typing import TYPE_CHECKING

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import TransferError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelPackageTransferOutput

if TYPE_CHECKING:
    from ..conftest import CommandLine

URL = "http://127.0.0.1:9"


def test_the_deployment_is_described_for_people(cli: "CommandLine") -> None:
    """Id, status, verification and throughput are on stdout."""
    printed = cli.run("transfer", cli.packaged(), "--to", URL)

    assert 0 == printed.code
    assert ["deployment", "status", "BLAKE3", "transfer"] == [line.split()[0] for line in printed.out.splitlines()]


def test_the_output_is_a_document_for_programs(cli: "CommandLine") -> None:
    """It has every field of the model."""
    document = cli.document("transfer", cli.packaged(), "--to", URL)

    assert set(ModelPackageTransferOutput.model_fields) == set(document)
    assert (True, "d-1") == (document["success"], document["remote_deployment_id"])


def test_its_options_reach_the_uploader(cli: "CommandLine") -> None:
    """Every one of them."""
    cli.run("transfer", cli.packaged(), "--to", URL, "--no-verify", "--correlation-id", "c-1")
    (content,) = cli.targets.sent

    assert ([URL], False, "c-1") == (cli.targets.sent_to, content.verify_checksum, content.correlation_id)


def test_a_transfer_that_fails_is_an_error(cli: "CommandLine") -> None:
    """The exit code is 1; code and recovery are on stderr."""
    cli.targets.receipts = [TransferError("it refuses", retry=False)]
    printed = cli.run("transfer", cli.packaged(), "--to", URL)

    assert (1, "") == (printed.code, printed.out)
    assert "error: TRANSFER_FAILED: it refuses\nwhat to do: " in printed.err


def test_a_missing_package_is_a_mistake(cli: "CommandLine") -> None:
    """The exit code is 2; nothing is sent."""
    printed = cli.run("transfer", "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10", "--to", URL)

    assert (2, []) == (printed.code, cli.targets.sent)


def test_an_unknown_status_is_a_mistake(cli: "CommandLine") -> None:
    """The message lists the known ones."""
    printed = cli.run("transfer", "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10", "--to", URL, "--wait-for", "tea")

    assert 2 == printed.code
    assert "'received', 'loaded' or 'running'" in printed.err


def test_without_a_receiver_the_advice_names_the_option(cli: "CommandLine") -> None:
    """And the variable."""
    printed = cli.run("transfer", "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10")

    assert 2 == printed.code
    assert "--to" in printed.err
    assert "DEFAULT_RECEIVER_URL" in printed.err
