"""The targets of `./dev fuzz`, so that they cannot rot: every seed is what it should be."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.docker_archive import read_archive
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.layers import LayerReader
from support.http.forms import read_form

_FUZZ = Path(__file__).parents[2] / "fuzz"


def _target(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", _FUZZ / f"fuzz_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(file.stem.removeprefix("fuzz_") for file in _FUZZ.glob("fuzz_*.py")))
def test_a_target_takes_its_seeds(name: str) -> None:
    """Each seed, half of it, and nothing at all pass the target's check."""
    target = _target(name)
    for seed in target.seeds():
        assert len(seed) <= target.MAX_BYTES
        target.check(seed)
        target.check(seed[: len(seed) // 2])
    target.check(b"")


def test_archives_that_are_seeds_are_images() -> None:
    """Each is accepted, so that the fuzzer starts behind every check."""
    for seed in _target("archive").seeds():
        read_archive([seed], layers=LayerReader(1 << 20))


def test_forms_that_are_seeds_are_read() -> None:
    """Each is accepted, so that the fuzzer starts behind every check."""
    assert None not in [read_form(b"B", [seed]) for seed in _target("multipart").seeds()]
