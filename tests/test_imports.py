"""Modules import each other in one direction: no circle, also among imports that only a type checker follows."""

import ast
from pathlib import Path

import undiffuse

ROOT = Path(undiffuse.__file__).parent


def graph() -> dict[str, set[str]]:
    """What each module imports of this package, wherever in the file."""
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


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach each other."""
    reached = {name: _reached(name, imports) for name in imports}
    found: list[set[str]] = []
    for name in imports:
        if name in reached[name] and not any(name in circle for circle in found):
            found.append({other for other in reached[name] if name in reached[other]})
    return found


def _reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        for other in imports[ahead.pop()] - reached:
            reached.add(other)
            ahead.append(other)
    return reached


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [{"b", "c"}, {"d"}]
    imports = graph()
    assert "undiffuse.language_model.trained" in imports["undiffuse.language_model.check"]
    assert "undiffuse.language_model" in imports["undiffuse"]  # only a type checker follows it
    assert "undiffuse.language_model.storage" in imports["undiffuse.language_model.loading"]  # from . import


def test_no_modules_import_each_other_in_a_circle():
    assert circles(graph()) == []
