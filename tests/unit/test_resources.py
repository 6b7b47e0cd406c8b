"""Clients are opened when needed, once, and closed in reverse."""

import asyncio
import logging
from pathlib import Path
from typing import cast

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine, DeployTargets
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers, Resources
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings


class Client:
    """Records its close; the close may fail."""

    def __init__(self, name: str, diary: list[str], *, fails: bool = False) -> None:
        self.name = name
        self.diary = diary
        self.fails = fails

    async def close(self) -> None:
        self.diary.append(f"closed {self.name}")
        if self.fails:
            raise RuntimeError(f"{self.name} does not close")


class House:
    """Resources whose clients record when they are opened and closed."""

    def __init__(self, tmp_path: Path, *, fails: bool = False) -> None:
        self.diary: list[str] = []
        self.refusals = 0
        self.fails = fails
        openers = Openers(engine=self._engine, targets=self._targets)
        self.resources = Resources(DeploymentSenderSettings.load({"package_dir": str(tmp_path / "store")}, {}), openers)

    async def _engine(self, settings: DeploymentSenderSettings) -> ContainerEngine:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise EngineUnavailableError("not yet")
        self.diary.append("opened engine")
        return cast("ContainerEngine", Client("engine", self.diary))

    async def _targets(self, settings: DeploymentSenderSettings) -> DeployTargets:
        self.diary.append("opened targets")
        return cast("DeployTargets", Client("targets", self.diary, fails=self.fails))


async def test_new_resources_open_and_make_nothing(tmp_path: Path) -> None:
    """The first use opens a client."""
    house = House(tmp_path)
    await house.resources.close()

    assert ([], []) == (house.diary, list(tmp_path.iterdir()))


async def test_a_client_is_opened_once_by_many_callers_at_once(tmp_path: Path) -> None:
    """Each client has its own lock."""
    house = House(tmp_path)

    engines = await asyncio.gather(*(house.resources.engine() for _ in range(5)))

    assert (1, ["opened engine"]) == (len(set(map(id, engines))), house.diary)


async def test_a_failed_open_keeps_nothing(tmp_path: Path) -> None:
    """The next call opens the client again."""
    house = House(tmp_path)
    house.refusals = 1
    with pytest.raises(EngineUnavailableError):
        await house.resources.engine()

    await house.resources.engine()

    assert ["opened engine"] == house.diary


async def test_they_close_in_reverse_and_twice_is_safe(tmp_path: Path) -> None:
    """The newest is closed first."""
    house = House(tmp_path)
    await house.resources.engine()
    await house.resources.targets()

    await house.resources.close()
    await house.resources.close()

    assert ["opened engine", "opened targets", "closed targets", "closed engine"] == house.diary


async def test_one_failing_close_does_not_keep_the_others_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged with the client's name."""
    house = House(tmp_path, fails=True)
    await house.resources.engine()
    await house.resources.targets()

    with caplog.at_level(logging.WARNING):
        await house.resources.close()

    assert "closed engine" == house.diary[-1]
    assert ["closing the connections to receivers failed"] == [record.getMessage() for record in caplog.records]


async def test_after_closing_the_next_use_opens_anew(tmp_path: Path) -> None:
    """The node can still be used."""
    house = House(tmp_path)
    await house.resources.engine()
    await house.resources.close()

    await house.resources.engine()

    assert ["opened engine", "closed engine", "opened engine"] == house.diary


async def test_the_contract_is_read_once(tmp_path: Path) -> None:
    """It is read in a thread: the guard against blocking calls would notice."""
    resources = House(tmp_path).resources

    assert await resources.contract() is await resources.contract()


async def test_the_store_is_one_for_many_callers_at_once(tmp_path: Path) -> None:
    """It sweeps once, before its first package."""
    resources = House(tmp_path).resources

    stores = await asyncio.gather(*(resources.store() for _ in range(5)))

    assert 1 == len({*map(id, stores), id(await resources.store())})


async def test_open_clients_have_names(tmp_path: Path) -> None:
    """Only those that are open."""
    resources = House(tmp_path).resources
    await resources.targets()
    names = resources.open_names
    await resources.close()

    assert (["connections to receivers"], []) == (names, resources.open_names)


async def test_a_publisher_without_a_broker_is_a_mistake(tmp_path: Path) -> None:
    """The recovery names the setting."""
    settings = DeploymentSenderSettings.load({"package_dir": str(tmp_path)}, {})
    with pytest.raises(InvalidInputError) as caught:
        await Openers().publisher(settings)

    assert "KAFKA_BOOTSTRAP_SERVERS" in caught.value.recovery
