"""Prints the sizes of functions and modules: a review question, never a red build."""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("schemas", "pipeline", "infra", "consumers", "producers")
ROOT = Path(__file__).parents[2]


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and lines of each function, docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            first = node.body[1:2] if documented else node.body[:1]
            start = first[0].lineno if first else node.body[0].lineno
            yield node.name, (node.end_lineno or start) - start + 1


def main() -> None:
    """Print medians, 95th percentiles and the longest of both."""
    modules = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    lengths = sorted(
        (
            (len(path.read_text().splitlines()), str(path.relative_to(ROOT)))
            for path in modules
        ),
        reverse=True,
    )
    sizes = sorted(
        (
            (lines, f"{path.relative_to(ROOT)}:{name}")
            for path in modules
            for name, lines in functions(ast.parse(path.read_text()))
        ),
        reverse=True,
    )
    for title, rows in (("functions", sizes), ("modules", lengths)):
        numbers = [lines for lines, _ in rows] or [0]
        p95 = statistics.quantiles(numbers, n=20)[-1] if len(numbers) > 1 else 0
        sys.stdout.write(
            f"{title}: {len(rows)}, lines median {statistics.median(numbers):.0f},"
            f" p95 {p95:.0f}, longest:\n"
        )
        sys.stdout.writelines(f"  {lines:4} {name}\n" for lines, name in rows[:5])


if __name__ == "__main__":
    main()
