"""Modules that are imported when they are first used."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.lazy_import import lazy_module, load

NAME = "a_module_of_this_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Write a module and return its stand-in."""
    (tmp_path / f"{NAME}.py").write_text("import threading\nTHREAD = threading.current_thread().name\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield lazy_module(NAME)
    sys.modules.pop(NAME, None)


def test_a_module_is_imported_by_its_first_use(module: ModuleType) -> None:
    """Until then it is only a name."""
    assert NAME not in sys.modules
    assert "MainThread" == module.THREAD
    assert sys.modules[NAME].THREAD is module.THREAD


async def test_a_loaded_module_was_imported_in_a_thread(module: ModuleType) -> None:
    """An import takes longer than the event loop may be blocked."""
    await load(module)

    assert "deployment-sender" == module.THREAD


async def test_loading_twice_imports_once(module: ModuleType) -> None:
    """Also if the module was used before."""
    first = module.THREAD
    await load(module)

    assert first is module.THREAD


def test_a_relative_name_belongs_to_the_callers_package() -> None:
    """It is resolved as in an import statement."""
    path = lazy_module("..path", "os.x")

    assert "os.path" == path.__name__


async def test_an_import_that_fails_raises_and_is_tried_again() -> None:
    """The error names the module."""
    absent = lazy_module("absent_module_of_this_test")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="absent_module_of_this_test"):
            await load(absent)


async def test_an_ordinary_module_is_loaded_already() -> None:
    """Type checkers know no other kind, so both are accepted."""
    await load(sys)
