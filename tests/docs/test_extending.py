"""The package in docs/extending.md works as it stands there: it is installed, used, stored, and held to the laws."""

import re
import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.exact.verify import verify
from undiffuse.kinds import CHECKPOINT_FAMILIES, COMPONENTS, PROCESSES, SCHEDULES, STRATEGIES
from undiffuse.language_model import LanguageModel
from undiffuse.models.family import Keys
from undiffuse.models.transformer import Transformer
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.text.tokenizer import Tokenizer

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A machine on which the package is installed."""
    site = tmp_path / "site"
    for name, text in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    (site / "elsewhere" / "__init__.py").write_text("")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = site / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(site))
    forget(monkeypatch)
    yield site
    forget(monkeypatch)


def forget(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "elsewhere"]:
        monkeypatch.delitem(sys.modules, name)
    for family in COMPONENTS.values():
        family.__dict__.pop("outside", None)


def holds(pattern: str) -> int:
    """How many components are held to the laws that match; all of them hold."""
    results = list(verify(pattern))
    assert [result for result in results if not result.passed] == []
    return len(results)


def test_the_page_holds_a_whole_package():
    assert set(FILES) == {f"elsewhere/{name}.py" for name in ("curves", "noise", "order", "nimbus")} | {
        "pyproject.toml"
    }


def test_every_name_is_known_and_nothing_is_imported_by_asking(installed):
    assert "steep" in SCHEDULES.kinds
    assert "plain-masks" in PROCESSES.kinds
    assert "right-to-left" in STRATEGIES.kinds
    assert "nimbus" in CHECKPOINT_FAMILIES.kinds
    assert not any(name.startswith("elsewhere") for name in sys.modules)


@pytest.mark.slow
def test_components_are_held_to_the_laws(installed):
    assert holds("schedule/* steep") >= 3
    assert holds("process/* plain-masks") == 2
    assert holds("strategy/* right-to-left, mask") == 1


@pytest.mark.slow
def test_a_bound_that_is_wrong_is_found(installed):
    path = installed / "elsewhere" / "noise.py"
    path.write_text(path.read_text().replace(" / noised.t.where(noised.editable, 1.0)", ""))
    assert [result.law for result in verify("process/* plain-masks") if not result.passed] == ["process/tight"]


def test_a_run_with_them_is_trained_stored_and_loaded_with_leave(installed, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("one two three four five six\n" * 60)
    small = ["tokenizer.kind=byte", "model.width=32", "model.depth=1"]
    run = ud.train(text, out=tmp_path / "run", steps=2, overrides=["process.kind=plain-masks", *small])
    filled = run.model.fill("one [MASK] three", strategy="right-to-left")
    assert filled[0].text.startswith("one ")
    with pytest.raises(UserError, match="--plugin elsewhere"):
        ud.load(tmp_path / "run")
    assert ud.load(tmp_path / "run", plugins=["elsewhere"]).fill("one [MASK] three", strategy="right-to-left") == filled


def test_a_model_of_the_package_has_a_name_and_nothing_is_imported_for_it(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("one two three four five six\n" * 60)
    small = ["tokenizer.kind=byte", "model.width=32", "model.depth=1"]
    run = ud.train("text.txt", out=tmp_path / "run", steps=2, overrides=small)
    with pytest.raises(UserError, match="names the model little does not hold it where it says"):
        ud.load("little")
    shutil.copytree(run.directory, installed / "elsewhere" / "weights" / "little")
    assert ud.load("little").fill("one [MASK] three") == [
        replace(found, model="little") for found in run.model.fill("one [MASK] three")
    ]
    assert not any(name.startswith("elsewhere") for name in sys.modules)


def test_a_checkpoint_of_the_family_is_written_and_read(installed, tmp_path):
    tokenizer = Tokenizer.byte_level()
    nimbus = CHECKPOINT_FAMILIES.load("nimbus")()
    config = {
        "model_type": "nimbus",
        "vocab_size": tokenizer.vocabulary.rows,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
    }
    network = Transformer(nimbus.network(Keys(config))).eval().requires_grad_(False)
    model = LanguageModel(Predictor(network, Interpolating(tokenizer.vocabulary), "leave_one_out"), tokenizer, {})
    model.save(tmp_path / "nimbus", layout="nimbus")
    with pytest.raises(UserError, match="no layout that is read"):
        ud.load(tmp_path / "nimbus")
    again = ud.load(tmp_path / "nimbus", plugins=["elsewhere"])
    ids = torch.arange(6)[None]
    assert torch.equal(again.logits(ids), model.logits(ids))
