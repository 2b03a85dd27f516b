"""Modules import each other in one direction: no circle, also among imports that only a type checker follows."""

from importing import graph, reached


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach each other."""
    ahead = {name: reached(name, imports) for name in imports}
    found: list[set[str]] = []
    for name in imports:
        if name in ahead[name] and not any(name in circle for circle in found):
            found.append({other for other in ahead[name] if name in ahead[other]})
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [{"b", "c"}, {"d"}]
    imports = graph()
    assert "undiffuse.language_model.trained" in imports["undiffuse.language_model.check"]
    assert "undiffuse.language_model" in imports["undiffuse"]  # only a type checker follows it
    assert "undiffuse.language_model.storage" in imports["undiffuse.language_model.loading"]  # from . import


def test_no_modules_import_each_other_in_a_circle():
    assert circles(graph()) == []
