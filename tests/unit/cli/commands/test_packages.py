"""`deployment-sender packages`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore

if TYPE_CHECKING:
    from ..conftest import CommandLine


def test_an_empty_store_is_reported_as_empty(cli: "CommandLine") -> None:
    """With its folder, which is not made."""
    printed = cli.run("packages")

    assert (0, f"no packages in {cli.store}\n") == (printed.code, printed.out)
    assert not cli.store.exists()


def test_packages_are_listed_in_columns(cli: "CommandLine") -> None:
    """One line each, under a head."""
    package_id = cli.packaged()
    head, line = cli.run("packages", "list").out.splitlines()

    assert ["PACKAGE", "IMAGE", "PLATFORM", "SIZE", "COMPRESSION", "BLAKE3", "CREATED", "(UTC)"] == head.split()
    assert [package_id, "a:1", "linux/amd64"] == line.split()[:3]


def test_packages_are_manifests_for_programs(cli: "CommandLine") -> None:
    """They have every field of the manifest."""
    package_id = cli.packaged()
    (manifest,) = cli.document("packages")["packages"]

    assert (package_id, "a", "1", "gzip") == (
        manifest["package_id"],
        manifest["container_name"],
        manifest["image_tag"],
        manifest["compression"],
    )


def test_a_package_is_removed(cli: "CommandLine") -> None:
    """The others stay."""
    first, second = cli.packaged(), cli.packaged()
    printed = cli.run("packages", "remove", first)

    assert (0, f"removed {first}\n") == (printed.code, printed.out)
    assert [second] == [manifest["package_id"] for manifest in cli.document("packages")["packages"]]


def test_a_missing_package_cannot_be_removed(cli: "CommandLine") -> None:
    """That is the caller's mistake."""
    printed = cli.run("packages", "remove", "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10")

    assert 2 == printed.code
    assert "there is no package" in printed.err


def test_undamaged_packages_pass_the_check(cli: "CommandLine") -> None:
    """All of them are read."""
    cli.packaged()
    cli.packaged()
    printed = cli.run("packages", "check")

    assert 0 == printed.code
    assert re.fullmatch(r"2 packages checked, [0-9.]+ (bytes|KB), none damaged\n", printed.out)
    assert "checking 2 packages ..." in printed.err


def test_an_empty_store_passes_the_check(cli: "CommandLine") -> None:
    """Nothing in it can be damaged."""
    printed = cli.run("packages", "check")

    assert (0, "0 packages checked, 0 bytes, none damaged\n") == (printed.code, printed.out)


def test_each_damaged_package_is_reported(cli: "CommandLine") -> None:
    """A changed bit, a short file and an unreadable manifest are found, and the advice is printed."""
    ids = [cli.packaged() for _ in range(4)]
    files = [Path(manifest_path.parent, "image.tar.gz") for manifest_path in _manifests(cli, ids)]
    files[0].write_bytes(_flipped(files[0].read_bytes()))
    files[1].write_bytes(files[1].read_bytes()[:-1])
    Path(files[2].parent, "manifest.json").write_text("{}")
    printed = cli.run("packages", "check")

    assert 1 == printed.code
    *shown, last = printed.out.splitlines()
    assert sorted(ids[:3]) == sorted(line.split()[1] for line in shown)
    assert last.endswith(", 3 damaged")
    assert "error: CHECKSUM_MISMATCH: 3 of 4 packages damaged\nwhat to do: " in printed.err


def test_damage_is_a_document_for_programs(cli: "CommandLine") -> None:
    """With code and message."""
    package_id = cli.packaged()
    _manifests(cli, [package_id])[0].unlink()
    document = cli.document("packages", "check")

    assert {
        "success": False,
        "checked": 1,
        "checked_bytes": 0,
        "damaged": [
            {
                "package_id": package_id,
                "error_code": "CHECKSUM_MISMATCH",
                "error_message": f"package {package_id} is damaged: manifest.json is missing, or is a link",
            }
        ],
    } == document


def test_packages_are_pruned(cli: "CommandLine") -> None:
    """The oldest are removed first, and each is described."""
    ids = [cli.packaged() for _ in range(3)]
    *shown, last = cli.run("packages", "prune", "--keep", "1").out.splitlines()

    assert [["removed", package_id, "a:1"] for package_id in ids[:2]] == [line.split()[:3] for line in shown]
    assert last.startswith("removed 2 packages, ")
    assert [ids[2]] == _listed(cli)


def test_a_dry_run_removes_nothing(cli: "CommandLine") -> None:
    """It prints what would be removed."""
    package_id = cli.packaged()
    printed = cli.run("packages", "prune", "--keep", "0", "--dry-run")

    assert (0, f"would remove {package_id}") == (printed.code, printed.out[:49])
    assert "\nwould remove 1 package, " in printed.out
    assert [package_id] == _listed(cli)


def test_a_young_package_stays(cli: "CommandLine") -> None:
    """Age and size are separate limits."""
    package_id = cli.packaged()
    printed = cli.run("packages", "prune", "--older-than", "1", "--max-size", "0.5")

    assert (0, "removed 0 packages, 0 bytes\n") == (printed.code, printed.out)
    assert [package_id] == _listed(cli)


def test_packages_are_pruned_by_size(cli: "CommandLine") -> None:
    """The limit is in GB, and may have decimals."""
    cli.packaged()
    second = cli.packaged()
    size_bytes = cli.document("packages")["packages"][0]["size_bytes"]
    cli.run("packages", "prune", "--max-size", f"{size_bytes / 1e9:.9f}")

    assert [second] == _listed(cli)


def test_a_package_in_use_is_kept(cli: "CommandLine") -> None:
    """It is printed; programs get its id."""
    first, second = cli.packaged(), cli.packaged()
    with PackageStore(cli.store).open(first):
        printed = cli.run("packages", "prune", "--keep", "0", "--dry-run")
        document = cli.document("packages", "prune", "--keep", "0")

    assert f"in use, kept: {first}" in printed.out
    assert {
        "success": True,
        "dry_run": False,
        "removed": [second],
        "removed_bytes": document["removed_bytes"],
        "in_use": [first],
    } == document
    assert [first] == _listed(cli)


def test_pruning_needs_a_limit(cli: "CommandLine") -> None:
    """A command without one removes nothing."""
    printed = cli.run("packages", "prune")

    assert 2 == printed.code
    assert "what to do: Give at least one of --older-than, --max-size and --keep." in printed.err


@pytest.mark.parametrize("arguments", [("--keep", "-1"), ("--older-than", "x"), ("--max-size", "-1")])
def test_a_limit_is_a_number(cli: "CommandLine", arguments: tuple[str, ...]) -> None:
    """It is not below zero."""
    assert 2 == cli.run("packages", "prune", *arguments).code


def _listed(cli: "CommandLine") -> list[str]:
    return [manifest["package_id"] for manifest in cli.document("packages")["packages"]]


def _manifests(cli: "CommandLine", ids: list[str]) -> list[Path]:
    return [cli.store / "packages" / package_id / "manifest.json" for package_id in ids]


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]
