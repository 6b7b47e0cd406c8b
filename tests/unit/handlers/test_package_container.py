"""A Dockerfile becomes a package of the store, with an engine in memory."""

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ErrorCode,
    InvalidInputError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.package_container import PackageContainerHandler
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelContainerPackageInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers, Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.archives.archives import image_archive
from support.engine.engines import FakeEngine
from support.eventually import eventually


class House:
    """A handler with a store in a temporary folder and an engine in memory."""

    def __init__(self, tmp_path: Path, engine: FakeEngine, **values: object) -> None:
        self.engine = engine
        self.folder = tmp_path / "packages-and-outbox"
        self.context = tmp_path / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text("FROM scratch\n")
        settings = DeploymentSenderSettings.load({"package_dir": str(self.folder)} | values, {})
        self.resources = Resources(settings, Openers(engine=self._open))
        self.handler = PackageContainerHandler(self.resources)

    async def _open(self, settings: DeploymentSenderSettings) -> FakeEngine:
        return self.engine

    def request(self, **fields: object) -> ModelContainerPackageInput:
        """Return an input that builds `hello:1.0`, with other values for some fields."""
        wanted = {"container_name": "hello", "image_tag": "1.0", "build_context": str(self.context)}
        return ModelContainerPackageInput.read(wanted | fields)

    def files(self) -> list[str]:
        """Return every file in the package folder."""
        return sorted(
            str((Path(where) / name).relative_to(self.folder))
            for where, _, names in os.walk(self.folder)
            for name in names
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Make a handler whose engine works."""
    return House(tmp_path, FakeEngine())


async def test_a_package_holds_the_export_of_the_engine(house: House) -> None:
    """It has the requested compression, a manifest and no other file."""
    result = await house.handler.handle(house.request(compression="gzip", correlation_id="c-1"))

    assert (True, "c-1", "gzip") == (result.success, result.correlation_id, result.compression)
    assert result.package_path is not None
    path = Path(result.package_path)
    exported = house.engine.images["hello:1.0"]
    assert exported == gzip.decompress(path.read_bytes())
    assert path.stat().st_size / len(exported) == result.compression_ratio
    assert [
        f"packages/{result.package_id}/image.tar.gz",
        f"packages/{result.package_id}/manifest.json",
    ] == house.files()


async def test_every_stage_is_timed(house: House) -> None:
    """The result and the metrics have the same times."""
    result = await house.handler.handle(house.request())

    assert {"build", "export_wait", "stream", "compress", "hash", "write", "commit"} == set(result.stages_ms)
    figures = house.resources.metrics.snapshot()
    assert result.stages_ms == {name: figures[f"last_builds_{name}_ms"] for name in result.stages_ms}


async def test_the_manifest_has_the_facts_for_later_steps(house: House) -> None:
    """It has those that the input left to the settings, too."""
    result = await house.handler.handle(house.request())

    (manifest,) = await asyncio.to_thread((await house.resources.store()).list)
    facts = await house.engine.inspect("hello:1.0")
    assert facts is not None
    assert (result.package_id, result.image_id, result.package_checksum, True, "gzip") == (
        manifest.package_id,
        manifest.engine_image_id,
        manifest.checksum,
        manifest.verify_checksum,
        manifest.compression,
    )
    assert facts.diff_ids == tuple(layer.diff_id for layer in manifest.layers)


async def test_the_input_takes_precedence_over_the_settings(house: House) -> None:
    """This holds for the compression and for the later verification."""
    await house.handler.handle(house.request(compression="none", verify_checksum=False))

    (manifest,) = await asyncio.to_thread((await house.resources.store()).list)
    assert ("none", False, "image.tar") == (manifest.compression, manifest.verify_checksum, manifest.filename)


async def test_the_engine_gets_every_option(house: House) -> None:
    """They are those of the input."""
    options = {
        "build_args": {"A": "b"},
        "target": "last",
        "platform": "linux/amd64",
        "labels": {"x": "y"},
        "no_cache": True,
    }
    await house.handler.handle(house.request(**options))

    (requested,) = house.engine.requests
    assert options == {name: getattr(requested, name) for name in options}
    assert ("hello:1.0", house.context.resolve(), "Dockerfile") == (
        requested.reference,
        requested.context,
        requested.dockerfile,
    )


async def test_the_build_can_be_followed(tmp_path: Path) -> None:
    """Each line of the log is reported, and then bytes at intervals, on the loop's thread."""
    big = image_archive("oci", "hello:1.0", layers=(os.urandom(9_000_000),))
    house = House(tmp_path, FakeEngine(archive=lambda _: big, chunk_bytes=1_000_000))
    reported: list[Progress] = []

    await house.handler.handle(house.request(), reported.append)
    await asyncio.sleep(0)

    assert ["Step 1/1 : FROM scratch", "Successfully built 0123456789ab"] == [
        step.line for step in reported if step.stage == "build"
    ]
    assert [True] == [step.done_bytes >= 8_000_000 for step in reported if step.stage == "export"]


@pytest.mark.parametrize("method", ["build", "export"])
@pytest.mark.parametrize("code", [ErrorCode.BUILD_FAILED, ErrorCode.DOCKER_UNAVAILABLE])
async def test_a_failing_engine_gives_an_output_and_leaves_nothing(house: House, method: str, code: ErrorCode) -> None:
    """The next call works."""
    house.engine.fail(method, code)

    failed = await house.handler.handle(house.request(correlation_id="c-1"))
    assert (False, code, "hello", "1.0", "c-1", None) == (
        failed.success,
        failed.error_code,
        failed.container_name,
        failed.image_tag,
        failed.correlation_id,
        failed.package_id,
    )
    assert failed.recovery
    assert [] == house.files()

    assert (await house.handler.handle(house.request())).success
    figures = house.resources.metrics.snapshot()
    assert (2, 1, 1) == (figures["total_builds"], figures["successful_builds"], figures["failed_builds"])


async def test_an_export_that_breaks_off_leaves_nothing(house: House) -> None:
    """Half an archive does not become a package."""
    house.engine.cut_after_bytes = 2000

    result = await house.handler.handle(house.request())

    assert (ErrorCode.DOCKER_UNAVAILABLE, []) == (result.error_code, house.files())


async def test_an_image_over_the_limit_stops_the_export(tmp_path: Path) -> None:
    """It stops before its end."""
    big = image_archive("oci", "hello:1.0", layers=(os.urandom(3_000_000),))
    house = House(tmp_path, FakeEngine(archive=lambda _: big), max_package_size_gb=0.001)

    result = await house.handler.handle(house.request())

    assert (ErrorCode.PACKAGE_TOO_LARGE, []) == (result.error_code, house.files())


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"build_context": "http://example.com/x.git"}, "build_context"),
        ({"dockerfile_path": "../Dockerfile"}, "dockerfile_path"),
        ({"dockerfile_path": "missing"}, "missing"),
    ],
)
async def test_a_wrong_path_raises_before_the_engine_is_used(
    house: House, fields: dict[str, object], word: str
) -> None:
    """Nothing was done, and nothing is counted."""
    with pytest.raises(InvalidInputError) as caught:
        await house.handler.handle(house.request(**fields))

    assert ([], 0) == (house.engine.calls, house.resources.metrics.snapshot()["total_builds"])
    assert word in caught.value.message


async def test_cancelling_an_export_leaves_nothing(house: House) -> None:
    """This holds at any point of the export."""
    house.engine.hold.clear()
    task = asyncio.create_task(house.handler.handle(house.request()))
    await eventually(lambda: house.engine.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ([], 1) == (house.files(), house.resources.metrics.snapshot()["cancelled_builds"])


async def test_a_package_whose_caller_was_cancelled_is_removed(house: House) -> None:
    """It was committed in the thread, but no caller knows its id."""
    original = house.engine.export

    async def export(reference: str, consume: object) -> object:
        await original(reference, consume)  # type: ignore[arg-type]
        raise asyncio.CancelledError

    house.engine.export = export  # type: ignore[assignment, method-assign]
    with pytest.raises(asyncio.CancelledError):
        await house.handler.handle(house.request())

    assert [] == house.files()


async def test_several_packages_at_once_are_independent(house: House) -> None:
    """Each has its own id."""
    results = await asyncio.gather(*(house.handler.handle(house.request(image_tag=f"1.{n}")) for n in range(5)))

    assert [True] * 5 == [result.success for result in results]
    assert 5 == len({result.package_id for result in results})


async def test_the_platform_is_named(house: House) -> None:
    """The result and the manifest have it, also when none was requested."""
    result = await house.handler.handle(house.request())

    (manifest,) = await asyncio.to_thread((await house.resources.store()).list)
    assert ("linux/amd64", "linux/amd64") == (result.platform, manifest.platform)


@pytest.mark.parametrize("requested", ["linux", "amd64", "linux/x86_64", "linux/amd64/v1"])
async def test_another_spelling_is_the_same_platform(house: House, requested: str) -> None:
    """The docker command accepts the same spellings."""
    assert (await house.handler.handle(house.request(platform=requested))).success


async def test_an_image_for_another_platform_is_refused(house: House) -> None:
    """The build cache may return one; nothing of it is kept."""
    result = await house.handler.handle(house.request(platform="linux/arm64"))

    assert (ErrorCode.BUILD_FAILED, []) == (result.error_code, house.files())
    expected = "hello:1.0 was requested for linux/arm64, but the engine built an image for linux/amd64"
    assert expected == result.error_message
    assert "no_cache" in str(result.recovery)
