"""The store is compared with a model of it: after any steps in any order, each listed package is whole and matches.

Two stores on one folder stand for two processes. A crash leaves what a killed process leaves: its descriptors are
closed and its locks released, but nothing is removed. (tests/faults kills real processes at each system call.)
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import StorageError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hash_file
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.manifest import PackageManifest
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore, StoredPackage
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.retention import Retention, check, prune
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.staging import Staged

_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_compressions: st.SearchStrategy[Compression] = st.sampled_from(["gzip", "zstd", "none"])


@dataclass
class _Process:
    """One user of the folder, with the packages that it writes and reads."""

    store: PackageStore
    swept: bool = False
    writing: dict[str, "_Writing"] = field(default_factory=dict)
    reading: list[tuple[StoredPackage, bytes]] = field(default_factory=list)


@dataclass
class _Writing:
    """A package that is being written."""

    owner: _Process
    staged: Staged
    compression: Compression
    content: bytes = b""


class StoreMachine(RuleBasedStateMachine):
    """Does what users of the store do, and knows the expected result."""

    writings = Bundle("writings")
    which = st.sampled_from([0, 1])

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.processes = [_Process(PackageStore(self.folder)), _Process(PackageStore(self.folder))]
        self.kept: dict[str, bytes] = {}  # in the order of their making, so that each run picks the same ones
        self.left_over: set[str] = set()
        self.made = 0

    def teardown(self) -> None:
        for process in self.processes:
            self._end(process)
        shutil.rmtree(self.folder)

    @rule(target=writings, which=which, compression=_compressions)
    def begin(self, which: int, compression: Compression) -> _Writing:
        """The first begin of a process removes the entries of crashed ones."""
        owner = self.processes[which]
        writing = _Writing(owner, owner.store.begin(compression), compression)
        owner.writing[writing.staged.entry_id] = writing
        if not owner.swept:
            owner.swept = True
            self.left_over.clear()
        return writing

    @rule(writing=writings, data=st.binary(max_size=2000))
    def write(self, writing: _Writing, data: bytes) -> None:
        """Only a running process writes."""
        if self._lives(writing):
            assert len(data) == writing.staged.file.write(data)
            writing.content += data

    @rule(writing=consumes(writings))
    def commit(self, writing: _Writing) -> None:
        """From now on the package exists, even if its process ends."""
        if self._lives(writing):
            package_id = writing.staged.entry_id
            path = writing.owner.store.commit(writing.staged, self._manifest(writing))
            self.kept[package_id] = writing.content
            del writing.owner.writing[package_id]
            assert path == writing.owner.store.path_of(package_id)

    @rule(which=which, compression=_compressions, data=st.binary(max_size=2000))
    def make(self, which: int, compression: Compression, data: bytes) -> None:
        """Make a package in one step, so that there are many."""
        writing = self.begin(which, compression)
        self.write(writing, data)
        self.commit(writing)

    @rule(writing=consumes(writings))
    def abort(self, writing: _Writing) -> None:
        """Nothing of the entry is left."""
        if self._lives(writing):
            writing.staged.abort()
            writing.staged.abort()
            del writing.owner.writing[writing.staged.entry_id]

    @rule(writing=consumes(writings))
    def commit_that_fails(self, writing: _Writing) -> None:
        """Another file has the manifest's name: the package does not appear, and its writer aborts."""
        if self._lives(writing):
            staged, owner = writing.staged, writing.owner
            (self.folder / "staging" / staged.entry_id / "manifest.json").mkdir()
            with pytest.raises(StorageError):
                owner.store.commit(staged, self._manifest(writing))
            staged.abort()
            del owner.writing[staged.entry_id]

    @rule(which=which)
    def crash(self, which: int) -> None:
        """Its unfinished entries are left, its open packages are closed, and another process takes its place."""
        self.left_over |= self.processes[which].writing.keys()
        self._end(self.processes[which])
        self.processes[which] = _Process(PackageStore(self.folder))

    @rule(which=which)
    def sweep(self, which: int) -> None:
        """A sweep removes exactly the entries of crashed processes."""
        assert self.left_over == set(self.processes[which].store._staging.sweep())
        self.left_over.clear()

    @precondition(lambda self: self.kept)
    @rule(which=which, data=st.data())
    def open(self, which: int, data: st.DataObject) -> None:
        """Any process can open any package."""
        package_id = data.draw(st.sampled_from(list(self.kept)))
        opened = self.processes[which].store.open(package_id)
        self.processes[which].reading.append((opened, self.kept[package_id]))

    @rule(which=which)
    def close(self, which: int) -> None:
        """The package is not in use any more."""
        while self.processes[which].reading:
            self.processes[which].reading.pop()[0].close()

    @precondition(lambda self: self.kept)
    @rule(which=which, data=st.data())
    def remove(self, which: int, data: st.DataObject) -> None:
        """A package is removed by its id even if it is in use."""
        package_id = data.draw(st.sampled_from(list(self.kept)))
        self.processes[which].store.remove(package_id)
        del self.kept[package_id]

    @rule(which=which, keep=st.integers(0, 3), dry_run=st.booleans())
    def prune_to_the_newest(self, which: int, keep: int, dry_run: bool) -> None:
        """All but the newest are removed, except those in use."""
        newest_first = [manifest.package_id for manifest in PackageStore(self.folder).list()]
        expected = [package_id for package_id in reversed(newest_first[keep:]) if package_id not in self._in_use()]

        pruned = prune(self.processes[which].store, Retention(keep=keep), now=_BEGIN, dry_run=dry_run)

        assert expected == [manifest.package_id for manifest in pruned.removed]
        if not dry_run:
            for package_id in expected:
                del self.kept[package_id]

    @rule(which=which, max_bytes=st.integers(0, 4000))
    def prune_to_a_size(self, which: int, max_bytes: int) -> None:
        """The oldest are removed until the rest fits, except those in use."""
        oldest_first, expected = PackageStore(self.folder).list()[::-1], []
        total_bytes = sum(manifest.size_bytes for manifest in oldest_first)
        for manifest in oldest_first:
            if total_bytes > max_bytes and manifest.package_id not in self._in_use():
                expected.append(manifest)
                total_bytes -= manifest.size_bytes

        pruned = prune(self.processes[which].store, Retention(max_bytes=max_bytes), now=_BEGIN)

        assert tuple(expected) == pruned.removed
        for manifest in expected:
            del self.kept[manifest.package_id]

    @precondition(lambda self: self.kept)
    @rule(which=which, data=st.data(), size=st.integers(0, 3000))
    def damage_and_remove(self, which: int, data: st.DataObject, size: int) -> None:
        """A changed package is found, and can be removed; a reader of the right file can still read it."""
        package_id = data.draw(st.sampled_from(list(self.kept)))
        store = self.processes[which].store
        path = store.path_of(package_id)
        path.unlink()
        path.write_bytes(bytes(size))

        checked = check(store, package_id, hash_file)
        store.remove(package_id)

        assert checked is not None
        assert (bytes(size) == self.kept.pop(package_id)) == (checked.error is None)
        assert check(store, package_id, hash_file) is None

    @invariant()
    def what_is_listed_is_whole(self) -> None:
        """Each whole package is listed, also by a new process."""
        store = PackageStore(self.folder)
        for manifest in store.list():
            with store.open(manifest.package_id) as package:
                content = package.file.read()
            assert self.kept[manifest.package_id] == content
            assert (manifest.checksum, manifest.size_bytes) == (blake3(content).hexdigest(), len(content))
        assert sorted(self.kept) == store.ids() == sorted(manifest.package_id for manifest in store.list())

    @invariant()
    def nothing_else_is_there(self) -> None:
        """`packages` has whole packages, `staging` has unfinished and left entries."""
        writing = {entry_id for process in self.processes for entry_id in process.writing}

        assert set(self.kept) == self._names("packages")
        assert writing | self.left_over == self._names("staging")
        for package_id in self.kept:
            filename = PackageStore(self.folder).path_of(package_id).name
            assert {filename, "manifest.json"} == self._names(f"packages/{package_id}")

    @invariant()
    def what_is_open_can_be_read(self) -> None:
        """An open package can be read even if it was removed."""
        for process in self.processes:
            for package, content in process.reading:
                assert blake3(content).hexdigest() == hash_file(package.file)

    def _manifest(self, writing: _Writing) -> PackageManifest:
        self.made += 1
        return PackageManifest(
            package_id=writing.staged.entry_id,
            container_name="hello",
            image_tag="1.0",
            engine_image_id="sha256:" + "ab" * 32,
            config_digest="sha256:" + "cd" * 32,
            layers=(),
            compression=writing.compression,
            filename=writing.staged.filename,
            size_bytes=len(writing.content),
            exported_bytes=len(writing.content),
            checksum=blake3(writing.content).hexdigest(),
            verify_checksum=True,
            created_at=_BEGIN + timedelta(seconds=self.made),
            build_duration_ms=1,
            export_duration_ms=1,
        )

    @staticmethod
    def _lives(writing: _Writing) -> bool:
        return writing.staged.entry_id in writing.owner.writing

    def _in_use(self) -> set[str]:
        return {package.manifest.package_id for process in self.processes for package, _ in process.reading}

    def _names(self, folder: str) -> set[str]:
        """What is in a folder; nothing if it is not there."""
        return {one.name for one in self.folder.joinpath(folder).glob("*")}

    @staticmethod
    def _end(process: _Process) -> None:
        """Close every descriptor, as the kernel does when a process has ended."""
        for writing in process.writing.values():
            writing.staged.file.close()
            os.close(writing.staged._lock)
        process.writing.clear()
        for package, _ in process.reading:
            package.close()
        process.reading.clear()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=100, stateful_step_count=30)
