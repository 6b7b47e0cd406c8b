"""The layers that docs/architecture.md describes are those that import-linter enforces."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_docs_have_the_layers_of_pyproject() -> None:
    """One row for each layer, top to bottom, in the same words."""
    (enforced, *_others) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    block = page.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    rows = [line.split("|")[1] for line in block.strip().splitlines()[2:]]

    assert [layer.split(" | ") for layer in enforced["layers"]] == [re.findall(r"`(\w+)`", row) for row in rows]
