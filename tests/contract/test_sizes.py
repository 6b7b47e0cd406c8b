"""Files and functions are short enough to be read at once."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "src").rglob("*.py")}
_FILE_LINES_MAX = 300
_FUNCTION_LINES_MAX = 40


def test_every_module_is_short() -> None:
    """One file has one subject, and there are files at all."""
    lines = {name: len(source.splitlines()) for name, source in SOURCES.items()}

    assert 100 < len(lines)
    assert {} == {name: count for name, count in lines.items() if count > _FILE_LINES_MAX}


def test_every_function_is_short() -> None:
    """From `def` to the last line, with its docstring."""
    functions = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert 1000 < len(functions)
    assert {} == {name: count for name, count in functions.items() if count > _FUNCTION_LINES_MAX}
