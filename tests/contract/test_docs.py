"""The tables of README and docs, held against the code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import InputModel, OutputModel
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import __all__ as model_names
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings, ReceiverSettings

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
README = ROOT / "README.md"


def tables(page: Path) -> list[list[list[str]]]:
    """Every Markdown table of a page: rows of cells, without the header."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", page.read_text(), re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()][2:] for block in blocks
    ]


def table(page: Path, first_cell: str) -> list[list[str]]:
    """The one table of a page whose first row starts with this cell."""
    (found,) = (rows for rows in tables(page) if rows[0][0] == first_cell)
    return found


@pytest.mark.parametrize("page", [ROOT / "docs" / "errors.md"])
def test_every_code_stands_in_the_docs_as_in_the_code(page: Path) -> None:
    """Meaning, recovery, retry and status."""
    expected = [
        [f"`{code}`", row.meaning, row.recovery, "yes" if row.retry else "no", str(row.http_status)]
        for code, row in ERRORS.items()
    ]

    assert expected == table(page, "`BUILD_FAILED`")


def _default(value: Any) -> str:
    return "(none)" if value in (None, ()) else f"`{value}`"


@pytest.mark.parametrize(
    ("page", "settings"),
    [
        (CONFIGURATION, DeploymentSenderSettings),
        (CONFIGURATION, ReceiverSettings),
    ],
)
def test_every_setting_stands_in_the_docs_with_its_variable_and_default(
    page: Path, settings: type[DeploymentSenderSettings | ReceiverSettings]
) -> None:
    """In the order of the code."""
    expected = [
        [f"`{name}`", f"`{settings.env_name(name)}`", _default(settings.default_folders.get(name, field.default))]
        for name, field in settings.model_fields.items()
    ]

    assert expected == [row[:3] for row in table(page, expected[0][0])]


@pytest.mark.parametrize("page", [OPERATIONS, README])
def test_every_operation_stands_in_the_docs(page: Path) -> None:
    """By the names of contract.yaml."""
    expected = [f"`{name}`" for name in load_contract().operations]

    assert expected == [row[0] for row in table(page, "`package_container`")]


def test_every_topic_stands_in_the_docs() -> None:
    """As contract.yaml names it."""
    expected = [[f"`{topic.event_type}`", f"`{topic.name}`"] for topic in load_contract().topics.values()]

    assert expected == table(OPERATIONS, "`BUILD_STARTED`")


@pytest.mark.parametrize("name", [name for name in model_names if name.startswith("Model")])
def test_every_field_of_every_model_stands_in_the_operations_page(name: str) -> None:
    """Each field is explained; what all outputs share is explained once."""
    from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import models  # noqa: PLC0415

    model: type[InputModel | OutputModel] = getattr(models, name)
    explained = set(re.findall(r"`(\w+)`", OPERATIONS.read_text()))

    assert set() == set(model.model_fields) - explained


@pytest.mark.parametrize("page", sorted([README, *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    """Relative links, from where they stand."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())

    assert [] == [link for link in links if not (page.parent / link).exists()]


def test_the_help_in_the_readme_is_what_the_command_prints() -> None:
    """As wide as an ordinary terminal."""
    done = subprocess.run(
        [Path(sys.executable).with_name("deployment-sender"), "--help"],
        env=os.environ | {"COLUMNS": "80", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"```\n{done.stdout.strip()}\n```" in README.read_text()


def test_every_file_that_holds_a_promise_is_there() -> None:
    """A test that was renamed is renamed in the page too."""
    named = re.findall(r"`((?:tests|fuzz)/[^`]*)`", (ROOT / "docs" / "reliability.md").read_text())

    assert [] == [name for name in named if not (ROOT / name).exists()]
