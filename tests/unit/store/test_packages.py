"""The package store: whole packages, or none."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hasher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import LayerFacts, PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore

_CONTENT = b"a package"
_DIGEST = f"sha256:{'a' * 64}"
_UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    """Name a store that is not there yet."""
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
            image_id=_DIGEST,
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


def _refusal(store: PackageStore, package_id: str) -> DeploymentSenderError:
    with pytest.raises(DeploymentSenderError) as caught:
        store.open(package_id)
    return caught.value


def test_nothing_before_the_first_begin(store: PackageStore, tmp_path: Path) -> None:
    """A store that is not there is empty, and is not made by asking."""
    assert store.list() == []
    assert _refusal(store, _UNKNOWN_ID).code is ErrorCode.VALIDATION_ERROR
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("compression", "filename"), [("gzip", "image.tar.gz"), ("zstd", "image.tar.zst"), ("none", "image.tar")]
)
def test_layout(store: PackageStore, tmp_path: Path, compression: Compression, filename: str) -> None:
    """A package is a folder of its id with its file and its manifest."""
    manifest, path = _keep(store, compression=compression)

    assert path == tmp_path / "store" / "packages" / manifest.package_id / filename
    assert path == store.path_of(manifest.package_id)
    assert sorted(one.name for one in path.parent.iterdir()) == [filename, "manifest.json"]


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
    """An id of no package is the caller's mistake, whatever it looks like."""
    _keep(store)

    error = _refusal(store, package_id)

    assert error.code is ErrorCode.VALIDATION_ERROR
    assert "deployment-sender packages" in error.message


@pytest.mark.parametrize("content", [b"", _CONTENT[:-1], _CONTENT + b"x"])
def test_another_size(store: PackageStore, content: bytes) -> None:
    """A package whose file has another size is damaged."""
    manifest, path = _keep(store)
    path.write_bytes(content)

    assert _refusal(store, manifest.package_id).code is ErrorCode.CHECKSUM_MISMATCH


@pytest.mark.parametrize("name", ["image.tar.gz", "manifest.json"])
def test_file_gone(store: PackageStore, name: str) -> None:
    """A package without its file or its manifest is damaged."""
    manifest, path = _keep(store)
    (path.parent / name).unlink()

    error = _refusal(store, manifest.package_id)

    assert error.code is ErrorCode.CHECKSUM_MISMATCH
    assert f"{name} is gone" in error.message


@pytest.mark.parametrize("name", ["image.tar.gz", "manifest.json"])
def test_link_in_its_place(store: PackageStore, name: str) -> None:
    """A link in the place of a package's file is not followed, even to the same bytes."""
    manifest, path = _keep(store)
    (path.parent / name).rename(path.parent / "real")
    (path.parent / name).symlink_to("real")

    assert _refusal(store, manifest.package_id).code is ErrorCode.CHECKSUM_MISMATCH


def test_link_in_the_folders_place(store: PackageStore, tmp_path: Path) -> None:
    """What lies elsewhere is no package of this store, and is not removed there."""
    manifest, path = _keep(store)
    path.parent.rename(tmp_path / "elsewhere")
    path.parent.symlink_to(tmp_path / "elsewhere")

    assert _refusal(store, manifest.package_id).code is ErrorCode.VALIDATION_ERROR
    with pytest.raises(DeploymentSenderError, match="there is no package"):
        store.remove(manifest.package_id)
    assert [] == store.list()
    assert (tmp_path / "elsewhere" / path.name).exists()


def test_fifo_in_its_place(store: PackageStore) -> None:
    """A FIFO in the place of a package's file holds nobody."""
    manifest, path = _keep(store)
    path.unlink()
    os.mkfifo(path)

    assert "no file" in _refusal(store, manifest.package_id).message


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"{" * 100_000])
def test_damaged_manifest(store: PackageStore, content: bytes) -> None:
    """A package whose manifest cannot be read is damaged."""
    manifest, path = _keep(store)
    (path.parent / "manifest.json").write_bytes(content)

    assert _refusal(store, manifest.package_id).code is ErrorCode.CHECKSUM_MISMATCH


def test_swapped_manifests(store: PackageStore) -> None:
    """A manifest in another package's folder is not believed."""
    (first, _), (_, path) = _keep(store), _keep(store)
    (path.parent / "manifest.json").write_bytes(first.to_json())

    assert "another package's" in _refusal(store, path.parent.name).message


def test_manifest_is_a_folder(store: PackageStore) -> None:
    """A folder in the manifest's place is told, too."""
    manifest, path = _keep(store)
    (path.parent / "manifest.json").unlink()
    (path.parent / "manifest.json").mkdir()

    assert _refusal(store, manifest.package_id).code in {ErrorCode.CHECKSUM_MISMATCH, ErrorCode.BUILD_FAILED}


def test_list_newest_first(store: PackageStore) -> None:
    """Packages are listed by age."""
    kept = [_keep(store, age=age)[0] for age in (20, 0, 10)]

    assert [kept[1], kept[2], kept[0]] == store.list()


def test_list_tells_the_damaged(store: PackageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged package is told in the log; what is no package is passed over."""
    (good, _), (_, path) = _keep(store), _keep(store)
    (path.parent / "manifest.json").write_bytes(b"{}")
    (tmp_path / "store" / "packages" / "lost+found").mkdir()

    assert [good] == store.list()
    assert [record.getMessage() for record in caplog.records] == [
        f"package {path.parent.name} is damaged: its manifest cannot be read"
    ]


def test_remove(store: PackageStore) -> None:
    """A removed package is gone; whoever has it open keeps reading it."""
    manifest, _ = _keep(store)
    with store.open(manifest.package_id) as package:
        store.remove(manifest.package_id)

        assert package.file.read() == _CONTENT
    assert store.list() == []
    assert _refusal(store, manifest.package_id).code is ErrorCode.VALIDATION_ERROR


def test_remove_the_damaged(store: PackageStore) -> None:
    """A damaged package can be removed."""
    manifest, path = _keep(store)
    path.unlink()
    (path.parent / "manifest.json").write_bytes(b"{}")

    store.remove(manifest.package_id)

    assert not path.parent.exists()


def test_remove_unknown(store: PackageStore) -> None:
    """A package that is not there cannot be removed."""
    with pytest.raises(DeploymentSenderError) as caught:
        store.remove(_UNKNOWN_ID)

    assert caught.value.code is ErrorCode.VALIDATION_ERROR


def test_an_open_package_is_in_use(store: PackageStore) -> None:
    """Until the last one who has it open closes it."""
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
def test_who_opens_what_may_be_removed_waits(store: PackageStore, removed: bool) -> None:
    """Until it is decided; then it is there, or there is no such package."""
    package_id = _keep(store)[0].package_id
    met: list[object] = []

    def opens() -> None:
        try:
            with store.open(package_id) as package:
                met.append(package.file.read())
        except DeploymentSenderError as exc:
            met.append(exc.code)

    other = threading.Thread(target=opens)
    with store.unused(package_id) as unused:
        other.start()
        other.join(0.1)
        waited = other.is_alive()
        if removed:
            store.remove(package_id)
    other.join(5)

    assert (True, True, [ErrorCode.VALIDATION_ERROR if removed else _CONTENT]) == (unused, waited, met)


def test_unused_unknown(store: PackageStore) -> None:
    """A package that is not there is not unused, either."""
    with pytest.raises(DeploymentSenderError) as caught, store.unused(_UNKNOWN_ID):
        pass

    assert caught.value.code is ErrorCode.VALIDATION_ERROR


def test_ids(store: PackageStore, tmp_path: Path) -> None:
    """The damaged count, and what is no package does not."""
    ids = [_keep(store)[0].package_id for _ in range(2)]
    (store.path_of(ids[0]).parent / "manifest.json").unlink()
    (tmp_path / "store" / "packages" / "lost+found").mkdir()

    assert sorted(ids) == store.ids()


class _Vanishing(PackageStore):
    """A store whose package is removed by somebody between two looks at its folder."""

    looks = 0

    def _folder(self, package_id: str) -> Path:
        folder = super()._folder(package_id)
        self.looks -= 1
        if not self.looks:
            self.remove(package_id)
        return folder


@pytest.mark.parametrize("looks", [1, 2])
def test_removed_while_it_is_opened(store: PackageStore, tmp_path: Path, looks: int) -> None:
    """A package that goes between two looks is not there; it is not damaged."""
    package_id = _keep(store)[0].package_id
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.looks = looks

    assert _refusal(vanishing, package_id).code is ErrorCode.VALIDATION_ERROR


def test_removed_while_it_is_removed(store: PackageStore, tmp_path: Path) -> None:
    """Whoever comes second finds no such package; the disk has refused nothing."""
    package_id = _keep(store)[0].package_id
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.looks = 1

    with pytest.raises(DeploymentSenderError) as caught:
        vanishing.remove(package_id)

    assert ErrorCode.VALIDATION_ERROR == caught.value.code


def test_removed_while_it_is_listed(store: PackageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said about it."""
    _keep(store)
    vanishing = _Vanishing(tmp_path / "store")
    vanishing.looks = 1

    assert ([], []) == (vanishing.list(), caplog.records)
