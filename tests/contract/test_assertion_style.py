"""Tests say `assert expected == actual`."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(map(_is_literal, node.elts))
    return isinstance(node, ast.Constant)


def _turned_round(source: str) -> list[int]:
    """Return the lines of assertions whose literal stands on the right."""
    asserted = (node.test for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert))
    return [
        test.lineno
        for test in asserted
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and len(test.ops) == 1
        if _is_literal(test.comparators[0]) and not _is_literal(test.left)
    ]


def test_every_assertion_begins_with_what_is_expected() -> None:
    """So that a failure reads the same way everywhere."""
    found = {str(path.relative_to(TESTS)): _turned_round(path.read_text()) for path in TESTS.rglob("*.py")}

    assert {} == {name: lines for name, lines in found.items() if lines}
    assert [1] == _turned_round("assert len(found) == 2")
