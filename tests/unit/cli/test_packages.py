"""`deployment-sender packages`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import CommandLine


def test_an_empty_store_is_said_to_be_empty(cli: "CommandLine") -> None:
    """With its folder; and nothing is made."""
    printed = cli.run("packages")

    assert (0, f"no packages in {cli.store}\n") == (printed.code, printed.out)
    assert not cli.store.exists()


def test_packages_are_listed_in_columns(cli: "CommandLine") -> None:
    """One line each, under a head."""
    package_id = cli.packaged()
    head, line = cli.run("packages", "list").out.splitlines()

    assert ["PACKAGE", "IMAGE", "SIZE", "COMPRESSION", "BLAKE3", "CREATED", "(UTC)"] == head.split()
    assert [package_id, "a:1"] == line.split()[:2]


def test_packages_are_manifests_for_programs(cli: "CommandLine") -> None:
    """With everything that the store remembers."""
    package_id = cli.packaged()
    (manifest,) = cli.document("packages")["packages"]

    assert (package_id, "a", "1", "gzip") == (
        manifest["package_id"],
        manifest["container_name"],
        manifest["image_tag"],
        manifest["compression"],
    )


def test_a_package_is_removed(cli: "CommandLine") -> None:
    """It is gone, and the others are not."""
    first, second = cli.packaged(), cli.packaged()
    printed = cli.run("packages", "remove", first)

    assert (0, f"removed {first}\n") == (printed.code, printed.out)
    assert [second] == [manifest["package_id"] for manifest in cli.document("packages")["packages"]]


def test_a_package_that_is_not_there_cannot_be_removed(cli: "CommandLine") -> None:
    """That is the caller's mistake."""
    printed = cli.run("packages", "remove", "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10")

    assert 2 == printed.code
    assert "there is no package" in printed.err
