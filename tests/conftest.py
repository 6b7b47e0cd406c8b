"""Rules for every test: no blocking call of ours on the event loop, no settings from the developer's shell."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings, ReceiverSettings

pytest_plugins = ["support.engine.engines"]

# The first model of a process makes pydantic look for plugins on the disk: not on a test's event loop.
DeploymentSenderSettings.model_rebuild()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--wheel`, by which `./dev test` names what is installed."""
    parser.addoption("--wheel", action="store_true", help="the project is installed from its wheel, not from this tree")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by it
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of the engine, so that `./dev test` runs them one after the other, and all others beside them."""
    for item in items:
        if "docker_api" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(autouse=True)
def no_blocking_call_on_the_loop() -> Iterator[None]:
    """Make a blocking call that our code makes on the event loop raise `BlockingError`."""
    # The full name: it finds the folder by `__file__`, which namespace packages do not have.
    with blockbuster_ctx("omninode_bridge.nodes.deployment_sender_effect.v1_0_0") as guard:
        for name in ("os.getcwd", "os.path.abspath"):  # they ask the kernel's memory, never a disk
            guard.functions[name].deactivate()
        # The coverage tracer runs inside the code that it traces, and takes a lock of its own.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset every variable that the settings read, except where the Docker Engine is."""
    for settings in (DeploymentSenderSettings, ReceiverSettings):
        for name in settings.model_fields:
            if not name.startswith("docker_"):
                monkeypatch.delenv(settings.env_name(name), raising=False)
