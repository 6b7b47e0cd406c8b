"""The package store: a package exists as a whole, or not at all."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    OperationError,
    PackageDamagedError,
    PackageNotFoundError,
    PackageTooNewError,
    StorageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hasher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import LayerFacts, PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore

_CONTENT = b"a package"
_DIGEST = f"sha256:{'a' * 64}"
_UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    """Return a store whose folder does not exist yet."""
    return PackageStore(tmp_path / "store")


def _keep(store: PackageStore, *, age: int = 0, compression: Compression = "gzip") -> tuple[PackageManifest, Path]:
    digest = hasher()
    digest.update(_CONTENT)
    with store.begin(compression) as staged:
        staged.file.write(_CONTENT)
        manifest = PackageManifest(
            package_id=staged.entry_id,
            container_name="hello",
            image_tag="1.0",
            engine_image_id=_DIGEST,
            config_digest=_DIGEST,
            layers=(LayerFacts(diff_id=_DIGEST, size_bytes=5),),
            compression=compression,
            filename=staged.filename,
            size_bytes=len(_CONTENT),
            exported_bytes=20,
            checksum=digest.hexdigest(),
            verify_checksum=True,
            created_at=datetime.now(UTC) - timedelta(seconds=age),
            build_duration_ms=1,
            export_duration_ms=2,
        )
        return manifest, store.commit(staged, manifest)


def _refusal(store: PackageStore, package_id: str) -> OperationError:
    with pytest.raises(OperationError) as caught:
        store.open(package_id)
    return caught.value


def test_nothing_before_the_first_begin(store: PackageStore, tmp_path: Path) -> None:
    """A store whose folder does not exist is empty; reading does not make the folder."""
    assert [] == store.list()
    assert PackageNotFoundError is type(_refusal(store, _UNKNOWN_ID))
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("compression", "filename"), [("gzip", "image.tar.gz"), ("zstd", "image.tar.zst"), ("none", "image.tar")]
)
def test_layout(store: PackageStore, tmp_path: Path, compression: Compression, filename: str) -> None:
    """A package is a folder of its id with its file and its manifest."""
    manifest, path = _keep(store, compression=compression)

    assert tmp_path / "store" / "packages" / manifest.package_id / filename == path
    assert path == store.path_of(manifest.package_id)
    assert [filename, "manifest.json"] == sorted(one.name for one in path.parent.iterdir())


def test_open(store: PackageStore) -> None:
    """An open package has its manifest, its path and its bytes, and is closed at the end."""
    manifest, path = _keep(store)

    with store.open(manifest.package_id) as package:
        assert (package.manifest, package.path, package.file.read()) == (manifest, path, _CONTENT)
    assert package.file.closed


@pytest.mark.parametrize(
    "package_id",
    [_UNKNOWN_ID, "../../etc", "", "x", _UNKNOWN_ID.upper(), f"{{{_UNKNOWN_ID}}}", f"{_UNKNOWN_ID}\n", "a\0b"],
)
def test_unknown_id(store: PackageStore, package_id: str) -> None:
    """An unknown id is the caller's mistake, whatever it looks like."""
    _keep(store)

    error = _refusal(store, package_id)

    assert PackageNotFoundError is type(error)
    assert "deployment-sender packages" in error.message


@pytest.mark.parametrize("content", [b"", _CONTENT[:-1], _CONTENT + b"x"])
def test_another_size(store: PackageStore, content: bytes) -> None:
    """A package whose file has another size is damaged."""
    manifest, path = _keep(store)
    path.write_bytes(content)

    assert PackageDamagedError is type(_refusal(store, manifest.package_id))


@pytest.mark.parametrize("name", ["image.tar.gz", "manifest.json"])
def test_file_gone(store: PackageStore, name: str) -> None:
    """A package without its file or its manifest is damaged."""
    manifest, path = _keep(store)
    (path.parent / name).unlink()

    error = _refusal(store, manifest.package_id)

    assert PackageDamagedError is type(error)
    assert f"{name} is missing" in error.message


@pytest.mark.parametrize("name", ["image.tar.gz", "manifest.json"])
def test_link_in_its_place(store: PackageStore, name: str) -> None:
    """A link in the place of a package's file is not followed, even to the same bytes."""
    manifest, path = _keep(store)
    (path.parent / name).rename(path.parent / "real")
    (path.parent / name).symlink_to("real")

    assert PackageDamagedError is type(_refusal(store, manifest.package_id))


def test_link_in_the_folders_place(store: PackageStore, tmp_path: Path) -> None:
    """A folder elsewhere does not belong to this store, and is not removed."""
    manifest, path = _keep(store)
    path.parent.rename(tmp_path / "elsewhere")
    path.parent.symlink_to(tmp_path / "elsewhere")

    assert PackageNotFoundError is type(_refusal(store, manifest.package_id))
    with pytest.raises(PackageNotFoundError, match="there is no package"):
        store.remove(manifest.package_id)
    assert [] == store.list()
    assert (tmp_path / "elsewhere" / path.name).exists()


def test_fifo_in_its_place(store: PackageStore) -> None:
    """A FIFO in the place of a package's file is refused without waiting for its writer."""
    manifest, path = _keep(store)
    path.unlink()
    os.mkfifo(path)

    assert "not a regular file" in _refusal(store, manifest.package_id).message


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"{" * 100_000])
def test_damaged_manifest(store: PackageStore, content: bytes) -> None:
    """A package whose manifest cannot be read is damaged."""
    manifest, path = _keep(store)
    (path.parent / "manifest.json").write_bytes(content)

    assert PackageDamagedError is type(_refusal(store, manifest.package_id))


def test_swapped_manifests(store: PackageStore) -> None:
    """A manifest in another package's folder is refused."""
    (first, _), (_, path) = _keep(store), _keep(store)
    (path.parent / "manifest.json").write_bytes(first.to_json())

    assert "another package's" in _refusal(store, path.parent.name).message


def test_manifest_is_a_folder(store: PackageStore) -> None:
    """A folder in the manifest's place is refused, too."""
    manifest, path = _keep(store)
    (path.parent / "manifest.json").unlink()
    (path.parent / "manifest.json").mkdir()

    assert isinstance(_refusal(store, manifest.package_id), PackageDamagedError | StorageError)


def test_list_newest_first(store: PackageStore) -> None:
    """Packages are listed by age."""
    kept = [_keep(store, age=age)[0] for age in (20, 0, 10)]

    assert [kept[1], kept[2], kept[0]] == store.list()


def test_the_log_names_a_damaged_package(store: PackageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged package is not listed; a folder that is not a package is ignored."""
    (good, _), (_, path) = _keep(store), _keep(store)
    (path.parent / "manifest.json").write_bytes(b"{}")
    (tmp_path / "store" / "packages" / "lost+found").mkdir()

    assert [good] == store.list()
    assert [record.getMessage() for record in caplog.records] == [
        f"package {path.parent.name} is damaged: its manifest cannot be read. {ChecksumMismatchError('').recovery}"
    ]


def _make_newer(path: Path) -> None:
    """Let a package look as if a newer version had made it."""
    manifest = path.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))


def test_a_package_of_a_newer_version_is_refused_in_words(store: PackageStore) -> None:
    """It is not damaged: the message names both versions, and the recovery the two ways out."""
    manifest, path = _keep(store)
    _make_newer(path)

    error = _refusal(store, manifest.package_id)

    assert PackageTooNewError is type(error)
    assert (
        f"a newer version of this software made package {manifest.package_id}: the manifest has schema version 2; this"
        " version reads 1" == error.message
    )
    assert "Upgrade deployment-sender on this machine, or package the image again with this version." == error.recovery


def test_a_package_of_a_newer_version_is_not_listed(store: PackageStore, caplog: pytest.LogCaptureFixture) -> None:
    """The log says why, and the package stays."""
    (readable, _), (_, path) = _keep(store), _keep(store)
    _make_newer(path)

    assert [readable] == store.list()
    assert [True] == ["Upgrade deployment-sender" in record.getMessage() for record in caplog.records]
    assert path.parent.name in store.ids()


def test_remove(store: PackageStore) -> None:
    """A removed package cannot be opened; a reader that has it open can still read it."""
    manifest, _ = _keep(store)
    with store.open(manifest.package_id) as package:
        store.remove(manifest.package_id)

        assert _CONTENT == package.file.read()
    assert [] == store.list()
    assert PackageNotFoundError is type(_refusal(store, manifest.package_id))


def test_remove_the_damaged(store: PackageStore) -> None:
    """A damaged package can be removed."""
    manifest, path = _keep(store)
    path.unlink()
    (path.parent / "manifest.json").write_bytes(b"{}")

    store.remove(manifest.package_id)

    assert not path.parent.exists()


def test_remove_unknown(store: PackageStore) -> None:
    """An unknown package cannot be removed."""
    with pytest.raises(PackageNotFoundError):
        store.remove(_UNKNOWN_ID)


def test_an_open_package_is_in_use(store: PackageStore) -> None:
    """It is in use until the last reader closes it."""
    package_id = _keep(store)[0].package_id
    with store.open(package_id):
        with store.open(package_id):
            pass
        with store.unused(package_id) as while_open:
            pass
    with store.unused(package_id) as after:
        pass

    assert (False, True) == (while_open, after)


@pytest.mark.parametrize("removed", [True, False])
def test_opening_waits_for_a_removal(store: PackageStore, removed: bool) -> None:
    """Afterwards the package is open, or there is no such package."""
    package_id = _keep(store)[0].package_id
    met: list[object] = []

    def opens() -> None:
        try:
            with store.open(package_id) as package:
                met.append(package.file.read())
        except PackageNotFoundError:
            met.append("not found")

    other = threading.Thread(target=opens)
    with store.unused(package_id) as unused:
        other.start()
        other.join(0.1)
        waited = other.is_alive()
        if removed:
            store.remove(package_id)
    other.join(5)

    assert (True, True, ["not found" if removed else _CONTENT]) == (unused, waited, met)


def test_unused_unknown(store: PackageStore) -> None:
    """An unknown package is not unused, either."""
    with pytest.raises(PackageNotFoundError), store.unused(_UNKNOWN_ID):
        pass


def test_ids(store: PackageStore, tmp_path: Path) -> None:
    """Damaged packages are included, other folders are not."""
    ids = [_keep(store)[0].package_id for _ in range(2)]
    (store.path_of(ids[0]).parent / "manifest.json").unlink()
    (tmp_path / "store" / "packages" / "lost+found").mkdir()

    assert sorted(ids) == store.ids()


class _Vanishing(PackageStore):
    """A store whose package is removed by another process between two checks of its folder."""

    checks = 0

    def _folder(self, package_id: str) -> Path:
        folder = super()._folder(package_id)
        self.checks -= 1
        if not self.checks:
            self.remove(package_id)
        return folder


@pytest.mark.parametrize("checks", [1, 2])
def test_removed_while_it_is_opened(store: PackageStore, tmp_path: Path, checks: int) -> None:
    """A package that is removed between two checks is not found; it is not damaged."""
    package_id = _keep(store)[0].package_id
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.checks = checks

    assert PackageNotFoundError is type(_refusal(vanishing, package_id))


def test_removed_while_it_is_removed(store: PackageStore, tmp_path: Path) -> None:
    """The second process finds no such package; that is not a failure of the disk."""
    package_id = _keep(store)[0].package_id
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.checks = 1

    with pytest.raises(PackageNotFoundError):
        vanishing.remove(package_id)


def test_removed_while_it_is_listed(store: PackageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says nothing about it."""
    _keep(store)
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.checks = 1

    assert ([], []) == (vanishing.list(), caplog.records)
