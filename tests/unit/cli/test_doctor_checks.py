"""The checks of `doctor` on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.doctor_checks import check_package_folder
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.kafka.publisher import FakeBroker

if TYPE_CHECKING:
    from .conftest import CommandLine


def settings(**values: object) -> DeploymentSenderSettings:
    """Return settings of one test."""
    return DeploymentSenderSettings.load(values, {})


async def test_a_package_folder_need_not_exist_yet(tmp_path: Path) -> None:
    """The check does not make it."""
    found = await check_package_folder(settings(package_dir=tmp_path / "a" / "b", max_package_size_gb=0.000001))

    assert ("ok", []) == (found.verdict, list(tmp_path.iterdir()))


async def test_a_package_folder_that_is_a_file_fails(tmp_path: Path) -> None:
    """Nothing can be written into it."""
    (tmp_path / "file").touch()
    found = await check_package_folder(settings(package_dir=tmp_path / "file"))

    assert ("fail", True) == (found.verdict, "cannot be written" in found.message)


async def test_a_disk_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    """A package may be larger than the free space."""
    found = await check_package_folder(settings(package_dir=tmp_path, max_package_size_gb=1e9))

    assert "warn" == found.verdict


def test_doctor_lists_every_check(cli: "CommandLine") -> None:
    """The verdict is first; without a receiver, all other checks still run."""
    printed = cli.run("doctor")

    assert ["engine", "packages", "broker", "receiver"] == [
        line.split()[1] for line in printed.out.splitlines() if not line.startswith(" ")
    ]
    assert (0, "ok    engine    Docker Engine 0.0.0-fake, memory") == (printed.code, printed.out.splitlines()[0])


def test_doctor_fails_if_one_check_does(cli: "CommandLine") -> None:
    """The advice is under it."""
    cli.engine.fail("info", ErrorCode.DOCKER_UNAVAILABLE, "no engine")
    printed = cli.run("doctor")

    assert 1 == printed.code
    first, second, *_ = printed.out.splitlines()
    assert "fail  engine    DOCKER_UNAVAILABLE: no engine" == first
    assert second.strip().startswith("what to do: ")


def test_doctor_prints_every_finding_for_programs(cli: "CommandLine") -> None:
    """In one document."""
    document = cli.document("doctor")

    assert {"success", "checks"} == set(document)
    assert {"subject", "verdict", "message", "advice"} == set(document["checks"][0])


@pytest.mark.parametrize(("down", "verdict"), [(False, "ok"), (True, "fail")])
def test_doctor_connects_to_the_broker(cli: "CommandLine", broker: FakeBroker, down: bool, verdict: str) -> None:
    """And disconnects."""
    broker.down = down
    found = {check["subject"]: check["verdict"] for check in cli.document("doctor")["checks"]}

    assert verdict == found["broker"]
    assert all(publisher.closed for publisher in broker.publishers)


def test_doctor_refuses_a_wrong_address(cli: "CommandLine") -> None:
    """As a transfer does."""
    assert 2 == cli.run("doctor", "--to", "ftp://edge").code
