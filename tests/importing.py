"""Which module of the package imports which, read from its source."""

import ast
from functools import cache
from pathlib import Path

import undiffuse

ROOT = Path(undiffuse.__file__).parent


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports of this package, wherever in the file. Read once: to parse it all takes a second."""
    files = {_name(path): path for path in ROOT.rglob("*.py")}
    return {name: _imports(name, path, files) - {name} for name, path in files.items()}


def _name(path: Path) -> str:
    parts = ("undiffuse", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, files: dict[str, Path]) -> set[str]:
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}"
                found.add(below if below in files else base)
    return found & files.keys()


def reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    """All that a module imports, directly or not."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for other in imports[ahead.pop()] - found:
            found.add(other)
            ahead.append(other)
    return found
