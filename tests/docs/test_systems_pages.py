"""The pages of systems are what the package says, and no recipe is without one."""

import importlib.util
from pathlib import Path

import pytest

from undiffuse.exact.verify import all_laws, verify
from undiffuse.training.recipe import ALIASES, recipes

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("systems_pages", ROOT / "docs" / "systems.py")
assert SPEC is not None
assert SPEC.loader is not None
writer = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(writer)


def test_pages_are_up_to_date():
    expected = writer.pages()
    for path, text in expected.items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/systems.py"
    assert set(writer.FOLDER.glob("*.md")) == set(expected)


def test_every_recipe_is_on_a_page():
    named = [recipe for system in writer.SYSTEMS for recipe in system.recipes]
    assert sorted(named) == sorted(set(recipes()) - set(ALIASES) - {"byte", "sft", "stories", "world"})


@pytest.mark.slow
def test_every_page_shows_a_derivation_and_laws_that_exist():
    files = {law.error.__module__.rpartition(".")[2] for law in all_laws()}
    for system in writer.SYSTEMS:
        assert set(system.laws) <= files, system.name
        assert "## Derivation" in writer.page(system)
        for pattern in system.patterns:
            assert next(verify(pattern), None) is not None, pattern
