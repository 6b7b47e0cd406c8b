"""The built wheel, installed in an empty environment and used from `/`."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect import v1_0_0 as front_door

ROOT = Path(__file__).parents[2]
FRONT_DOOR = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"


def _run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [*map(str, command)], cwd="/", env=clean | environ, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an empty environment with nothing but the wheel and what it requires."""
    del base_image  # marks all tests that use the environment for the engine's process, so that it is made only once
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    _run(folder / "bin" / "pip", "install", "--quiet", f"{wheel}[receiver,cli]")
    return folder / "bin"


def test_these_tests_import_what_they_are_to_test(pytestconfig: pytest.Config) -> None:
    """The installed wheel, where `./dev test` has installed it, and this tree otherwise."""
    expected = Path(sys.prefix) if pytestconfig.getoption("--wheel") else ROOT / "src"

    assert Path(front_door.__file__).is_relative_to(expected)


@pytest.mark.timeout(300)
def test_the_front_door_opens_and_knows_its_contract(environment: Path) -> None:
    """The contract comes from the wheel, and the import is not the source tree's."""
    code = (
        f"import asyncio, {FRONT_DOOR} as front_door\n"
        "async def main():\n"
        "    async with front_door.NodeDeploymentSenderEffect() as node:\n"
        "        figures = await node.execute_effect({'input_data': {'operation': 'get_metrics'}})\n"
        "        print(front_door.__file__, figures['total_builds'])\n"
        "asyncio.run(main())"
    )
    imported, builds = _run(environment / "python", "-c", code).stdout.split()

    assert "0" == builds
    assert Path(imported).is_relative_to(environment.parent)


@pytest.mark.parametrize("command", ["deployment-sender", "deployment-receiver"])
def test_the_commands_are_there(environment: Path, command: str) -> None:
    """Both print their version, which is the wheel's."""
    assert "1.0.0" in _run(environment / command, "--version").stdout


@pytest.mark.timeout(300)
def test_the_demo_runs_from_the_wheel(environment: Path, base_image: str, tmp_path: Path) -> None:
    """Without a source tree: the example context is in the wheel."""
    done = _run(environment / "deployment-sender", "demo", HOME=str(tmp_path), DEPLOYMENT_SENDER_BASE_IMAGE=base_image)

    assert re.search(r"deployment +[0-9a-f-]{36}\n +status +running", done.stdout)
