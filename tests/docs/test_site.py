"""The docs site: every page is in its menu, pages of the root lead on, and nothing is fetched from elsewhere."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_menu_once(hook):
    from mkdocs.config import load_config

    config = hook.on_config(load_config(str(ROOT / "mkdocs.yml"), hooks=[]))
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))]
    named = list(hook._named(config.nav))
    assert {page: named.count(page) for page in pages} == dict.fromkeys(pages, 1)


def test_links_of_the_readme_lead_to_pages_of_the_site(hook):
    moved = hook.moved(
        "[a](docs/holes.md#typed-holes) [b](LICENSE) [c](SECURITY.md) [d](https://x.org) ![e](docs/images/f)"
    )
    assert moved == "[a](holes.md#typed-holes) b [c](security.md) [d](https://x.org) ![e](images/f)"


def test_every_package_has_a_page_of_reference(hook):
    folders = {f"undiffuse.{init.parent.name}" for init in (ROOT / "undiffuse").glob("*/__init__.py")}
    assert set(hook.PACKAGES) == folders - {"undiffuse.cli"}


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text())
        assert not fetched, page
    assert "Predictor" in (tmp_path / "reference" / "undiffuse.html").read_text()
