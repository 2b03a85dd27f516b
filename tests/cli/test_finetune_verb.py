"""`undiffuse finetune` as it is typed: what it says, what it refuses, and what opens afterwards."""

import json

import pytest
from conftest import TINY  # type: ignore[attr-defined]

from undiffuse.cli.main import run

PAIRS = [{"prompt": f"after {letter} comes", "response": "j"} for letter in "abcdefgh"]


@pytest.fixture(scope="module")
def base(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("base") / "run"
    assert run(["train", str(text), *TINY, "--steps", "2", "--threads", "1", "--out", str(out)]) == 0
    return out


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    return path


def test_it_says_what_changed_and_the_result_opens(base, pairs, tmp_path, capsys):
    out = tmp_path / "tuned"
    common = ["--steps", "3", "--threads", "1", "--out", str(out), "training.windows=2", "training.draws=2"]
    assert run(["finetune", str(base), str(pairs), "--lora", "2", *common]) == 0
    said, told = capsys.readouterr()
    assert said.strip() == str(out)
    assert "7 answers of 2 to 2 tokens" in told
    assert "held-out answers: perplexity at most" in told
    assert 'undiffuse generate "after' in told
    assert (out / "adapter_model.safetensors").exists()
    assert run(["generate", "after a comes", "--model", str(out), "--json", "--temperature", "0"]) == 0
    assert "after a comes" in capsys.readouterr().out
    assert run(["inspect", str(out)]) == 0
    assert "of rank 2 over" in capsys.readouterr().out
    assert run(["finetune", "--resume", str(out), "--steps", "2", "--threads", "1"]) == 0
    assert json.loads((out / "manifest.json").read_text())["training"]["step"] == 5
    assert run(["convert", str(out), str(tmp_path / "merged")]) == 0
    assert (tmp_path / "merged" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{base}"], "name a model and the data"),
        (["{base}", "nowhere.jsonl"], "there is no file nowhere.jsonl"),
        (["nothing-of-this-name", "{pairs}"], "neither a path nor the name of a model"),
        (["{base}", "{pairs}", "--recipe", "sfft"], "did you mean 'sft'"),
        (["{base}", "{pairs}", "data.padding=eos"], "data.padding"),
        (["{base}", "{pairs}", "--template", "nowhere"], "the template nowhere cannot be read"),
        (["{base}", "--resume", "{base}"], "leave out MODEL and DATA"),
    ],
)
def test_mistakes_end_with_one_line(base, pairs, capsys, arguments, message):
    filled = [each.format(base=base, pairs=pairs) for each in arguments]
    assert run(["finetune", *filled]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
